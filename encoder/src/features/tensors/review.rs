//! What a model makes of a profile before it is stored.

use crate::{
    features::{
        Features, Value,
        coder::{Coder, Raw},
        tensors::UserTensors,
    },
    signature::Source,
};

/// A user model's view of a profile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Review {
    /// Names of features that the model does not read.
    pub unread: Vec<String>,
    /// Names of features with a value that the model has never seen: it reads the value as unknown.
    pub unseen: Vec<String>,
    /// Names of features whose value the model cannot take, and why not.
    pub wrong: Vec<(String, String)>,
}

impl UserTensors {
    /// Compares a profile with what the model reads of it.
    pub fn review(&self, profile: &Features) -> Review {
        let mut review = Review::default();
        for (name, value) in profile {
            let reads = |source: &Source| matches!(source, Source::User(read) if read == name);
            let mut read = false;
            for column in self.columns.iter().filter(|column| reads(&column.source)) {
                read = true;
                let wants_number =
                    matches!(column.coder, Coder::Bucket { .. } | Coder::Numeric { .. });
                let raws = || (0..).map_while(|at| Raw::of(Some(value), at));
                if wants_number && raws().any(|raw| !raw.is_number()) {
                    let description = format!("is {}, the model reads a number", show(value));
                    review.wrong.push((name.clone(), description));
                } else if raws().any(|raw| !column.coder.knows(raw)) {
                    review.unseen.push(name.clone());
                }
            }
            if !read {
                review.unread.push(name.clone());
            }
        }
        // Several inputs may read one feature.
        review.unseen.dedup();
        review.wrong.dedup();
        review
    }
}

fn show(value: &Value) -> String {
    match value {
        Value::Number(number) => format!("the number {number}"),
        Value::Text(text) => format!("the text {text:?}"),
        Value::List(_) => "a list".to_owned(),
    }
}
