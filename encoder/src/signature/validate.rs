//! Finds what is wrong with a signature before any tensor is made by it.

mod encoding;
mod shape;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::{
    error::Error,
    signature::{
        FORMAT, Metric, Signature, Tower,
        validate::{encoding::encoding, shape::shape},
    },
};

const MAX_DIM: usize = 4_096;
const MAX_INTERESTS: usize = 64;
const MAX_HISTORY: usize = 10_000;

impl Signature {
    /// Reads and validates `signature.json`.
    ///
    /// # Errors
    /// [`Error::Signature`] with everything that is wrong.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        let signature: Self = serde_json::from_slice(json).map_err(|cause| Error::Signature {
            problems: vec![cause.to_string()],
        })?;
        let problems = signature.problems();
        if problems.is_empty() {
            Ok(signature)
        } else {
            Err(Error::Signature { problems })
        }
    }

    /// Returns what is wrong, one line each, saying where.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.format != FORMAT {
            problems.push(format!(
                "format is {}, this program reads {FORMAT}",
                self.format
            ));
        }
        within(&mut problems, "dim", self.dim, MAX_DIM);
        within(&mut problems, "interests", self.interests, MAX_INTERESTS);
        within(
            &mut problems,
            "history.length",
            self.history.length,
            MAX_HISTORY,
        );
        if self.metric == Metric::Cosine && !self.normalized {
            problems.push("metric is cosine, so the towers must give normalized rows, but normalized is false".to_owned());
        }
        tower(&mut problems, "user", &self.user, self);
        tower(&mut problems, "item", &self.item, self);
        for (name, output) in [
            ("weights", &self.item.output.weights),
            ("attention", &self.item.output.attention),
        ] {
            if output.is_some() {
                problems.push(format!(
                    "item.output.{name} is set, only the user tower has it"
                ));
            }
        }
        problems
    }
}

fn within(problems: &mut Vec<String>, what: &str, found: usize, most: usize) {
    if found == 0 || found > most {
        problems.push(format!(
            "{what} is {found}, it must be between 1 and {most}"
        ));
    }
}

fn tower(problems: &mut Vec<String>, name: &str, tower: &Tower, signature: &Signature) {
    if tower.inputs.is_empty() {
        problems.push(format!("{name}.inputs is empty"));
    }
    let mut names = BTreeSet::new();
    for input in &tower.inputs {
        let place = format!("{name}.inputs `{}`", input.name);
        if !names.insert(input.name.as_str()) {
            problems.push(format!("{place} is there twice"));
        }
        if input.source.is_of_item() != (name == "item") {
            problems.push(format!(
                "{place}: source `{}` does not belong to the {name} tower",
                input.source
            ));
        }
        for problem in shape(input, signature).into_iter().chain(encoding(input)) {
            problems.push(format!("{place}: {problem}"));
        }
    }
}
