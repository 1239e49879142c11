//! `twotower replay`: answers a recall again as it was answered then, or as another generation would have.

use proto::v1::{
    ReplayRecallRequest, ReplayRecallResponse, recall_service_client::RecallServiceClient,
};
use serde_json::{Value, json};

use super::{answer, arguments::Recalled, connection::Connection, failure, json, table, words};

/// What to answer again: the flags of the recall, and what it gave.
#[derive(Debug, clap::Args)]
pub struct Replay {
    #[command(flatten)]
    recalled: Recalled,
    /// The recall token of the answer.
    #[arg(value_name = "TOKEN", allow_hyphen_values = true)]
    token: String,
    /// The generation that the recall named, if it named one.
    #[arg(long, value_name = "GENERATION")]
    named: Option<String>,
    /// Answer from this generation instead of the one that answered then.
    #[arg(long)]
    generation: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

impl Replay {
    /// Asks once.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut gateway = RecallServiceClient::new(self.connection.channel().await?);
        let replayed = gateway.replay_recall(self.request()).await;
        let replayed = replayed.map_err(failure::of)?.into_inner();
        self.connection
            .print(|| document(&replayed), || lines(&replayed));
        Ok(())
    }

    fn request(&self) -> ReplayRecallRequest {
        ReplayRecallRequest {
            recall: Some(self.recalled.request(self.named.as_deref())),
            recall_token: self.token.clone(),
            generation: self.generation.clone().unwrap_or_default(),
        }
    }
}

fn document(replayed: &ReplayRecallResponse) -> Value {
    json!({
        "answer": replayed.answer.as_ref().map(json::recall),
        "identical": replayed.identical,
        "overlap": replayed.overlap,
        "entered": replayed.entered,
        "left": replayed.left,
    })
}

fn lines(replayed: &ReplayRecallResponse) -> Vec<String> {
    let mut lines = match &replayed.answer {
        Some(answer) => answer::recall(answer, 0),
        None => Vec::new(),
    };
    let identical = match replayed.identical {
        true => "yes",
        false => "no",
    };
    lines.push(String::new());
    lines.extend(table::facts(&[
        ("identical", identical.to_owned()),
        ("overlap", words::percent(replayed.overlap)),
        ("entered", ids(&replayed.entered)),
        ("left", ids(&replayed.left)),
    ]));
    lines
}

fn ids(ids: &[u64]) -> String {
    let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
    ids.join(", ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        replay: Replay,
    }

    #[test]
    fn a_token_that_looks_like_a_flag_is_a_token() {
        let line = "replay --user 7 -token --k 5 --named g --generation h";
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        let request = cli.replay.request();
        assert_eq!(request.recall_token, "-token");
        assert_eq!(request.generation, "h");
        let recall = request.recall.unwrap();
        assert_eq!((recall.page_size, recall.generation.as_str()), (5, "g"));
    }

    #[test]
    fn what_changed_is_told() {
        let replayed = ReplayRecallResponse {
            overlap: 0.9,
            entered: vec![7, 8],
            ..Default::default()
        };
        assert_eq!(
            lines(&replayed),
            ["", "identical  no", "overlap    90.0 %", "entered    7, 8"]
        );
    }
}
