//! `twotower similar`: finds the items that are near to some items.

use proto::v1::{
    ItemRef, SimilarItemsRequest, SimilarItemsResponse, recall_service_client::RecallServiceClient,
};
use serde_json::{Value, json};

use super::{answer, arguments::Selection, connection::Connection, failure, item, json, table};

/// What to find others near to.
#[derive(Debug, clap::Args)]
pub struct Similar {
    /// The items, by id or key.
    #[arg(value_name = "ITEM", required = true, value_parser = item::parse)]
    items: Vec<ItemRef>,
    /// How many items to find.
    #[arg(long, default_value_t = 10)]
    k: u32,
    #[command(flatten)]
    selection: Selection,
    /// Answer from this generation instead of the one that serves.
    #[arg(long)]
    generation: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

impl Similar {
    /// Asks once.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut gateway = RecallServiceClient::new(self.connection.channel().await?);
        let found = gateway.similar_items(self.request()).await;
        let found = found.map_err(failure::of)?.into_inner();
        self.connection
            .print(|| document(&found), || lines(&found, &self.items));
        Ok(())
    }

    fn request(&self) -> SimilarItemsRequest {
        SimilarItemsRequest {
            items: self.items.clone(),
            page_size: self.k,
            exclude: self.selection.exclude(),
            filter: self.selection.filter(),
            options: Some(self.selection.options()),
            generation: self.generation.clone().unwrap_or_default(),
        }
    }
}

fn document(found: &SimilarItemsResponse) -> Value {
    json!({
        "candidates": json::list(&found.candidates, json::candidate),
        "missing": json::list(&found.missing, json::item_ref),
        "generation": found.generation,
        "space": found.space,
        "coverage": found.coverage.as_ref().map(json::coverage),
        "degraded_reasons": json::degraded(found.degraded_reasons()),
    })
}

fn lines(found: &SimilarItemsResponse, items: &[ItemRef]) -> Vec<String> {
    let mut lines = answer::by_item(&found.candidates, items);
    lines.push(String::new());
    lines.extend(table::facts(&[
        ("missing", item::names(&found.missing)),
        ("generation", found.generation.clone()),
        ("coverage", answer::coverage(found.coverage)),
        ("degraded", answer::degraded(found.degraded_reasons())),
    ]));
    lines
}
