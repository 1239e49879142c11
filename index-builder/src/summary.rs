//! What a run did, for people and for programs.

use std::fmt;

use serde::Serialize;

/// What a run did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The generation published; CURRENT names it.
    pub generation: String,
    /// Its embedding space.
    pub space: String,
    /// Items in it.
    pub items: u64,
    /// Those of them whose vectors were kept from the generation before.
    pub kept: u64,
    /// Those of them that the artifact does not know; indexed by their other features.
    pub unknown_items: u64,
    /// Items of the catalog that the artifact does not know, and that are left out.
    pub left_out: u64,
    /// Items of the catalog for which there is no ready vector, where vectors are ready; left out.
    pub without_vector: u64,
    /// Ready vectors for which the catalog has no item; left out.
    pub without_item: u64,
    /// Rows of the catalog that hold no item; left out.
    pub bad_lines: u64,
    /// Shards.
    pub shards: usize,
    /// Bytes of all its files.
    pub bytes: u64,
    /// The share of the true nearest 100 that the graphs find, over all shards.
    #[serde(rename = "ann_recall@100")]
    pub ann_recall: f64,
    /// Candidates that a search of a graph looks at for that.
    pub expansion_search: usize,
    /// HR@10 of the artifact's report, if it has one.
    #[serde(rename = "hr@10")]
    pub hit_rate: Option<f64>,
    /// How long it took.
    pub seconds: f64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            generation,
            space,
            items,
            kept,
            shards,
            unknown_items,
            left_out,
            without_vector,
            without_item,
            bad_lines,
            ..
        } = self;
        writeln!(f, "generation      {generation}")?;
        writeln!(f, "space           {space}")?;
        writeln!(
            f,
            "items           {items} in {shards} shards, {kept} kept, {unknown_items} unknown to the artifact"
        )?;
        writeln!(
            f,
            "left out        {left_out} unknown, {bad_lines} bad rows"
        )?;
        if without_vector + without_item > 0 {
            writeln!(
                f,
                "ready vectors   {without_vector} items without, {without_item} of no item"
            )?;
        }
        writeln!(
            f,
            "ann recall@100  {:.4}, looking at {} candidates",
            self.ann_recall, self.expansion_search
        )?;
        if let Some(hit_rate) = self.hit_rate {
            writeln!(f, "hr@10           {hit_rate:.4}")?;
        }
        writeln!(
            f,
            "size            {:.1} MiB",
            self.bytes as f64 / f64::from(1 << 20)
        )?;
        write!(f, "took            {:.1} s", self.seconds)
    }
}
