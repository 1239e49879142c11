//! `twotower explain`: tells why items stand where they do in a recall.

use proto::v1::{
    ExplainRecallRequest, ExplainRecallResponse, Explanation, ItemRef, Reason,
    recall_service_client::RecallServiceClient,
};
use serde_json::{Value, json};

use super::{answer, arguments::Asked, connection::Connection, failure, item, json, table};
use crate::print;

/// What to explain.
#[derive(Debug, clap::Args)]
pub struct Explain {
    #[command(flatten)]
    asked: Asked,
    /// The items, by id or key; without any, the first that are recalled.
    #[arg(value_name = "ITEM", value_parser = item::parse)]
    items: Vec<ItemRef>,
    /// How many reasons each item gets.
    #[arg(long, value_name = "N", default_value_t = 3)]
    reasons: u32,
    /// Answer from this generation instead of the one that serves.
    #[arg(long)]
    generation: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

impl Explain {
    /// Asks once.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut gateway = RecallServiceClient::new(self.connection.channel().await?);
        let recall = self.asked.request(0, self.generation.as_deref());
        let request = ExplainRecallRequest {
            recall: Some(recall),
            items: self.items,
            reasons: self.reasons,
        };
        let explained = gateway.explain_recall(request).await;
        let explained = explained.map_err(failure::of)?.into_inner();
        self.connection
            .print(|| document(&explained), || lines(&explained));
        Ok(())
    }
}

fn document(explained: &ExplainRecallResponse) -> Value {
    json!({
        "explanations": json::list(&explained.explanations, explanation),
        "missing": json::list(&explained.missing, json::item_ref),
        "generation": explained.generation,
        "space": explained.space,
        "variant": explained.variant().as_str_name(),
    })
}

fn explanation(explanation: &Explanation) -> Value {
    json!({
        "candidate": explanation.candidate.as_ref().map(json::candidate),
        "rank": explanation.rank,
        "reasons": json::list(&explanation.reasons, reason),
    })
}

fn reason(reason: &Reason) -> Value {
    json!({
        "item": reason.item.as_ref().map(json::item),
        "similarity": json::number(reason.similarity),
        "attention": reason.attention.map(json::number),
        "score_without": reason.score_without.map(json::number),
        "rank_without": reason.rank_without,
    })
}

fn lines(explained: &ExplainRecallResponse) -> Vec<String> {
    let mut lines = Vec::new();
    for explanation in &explained.explanations {
        lines.push(place(explanation));
        lines.extend(explanation.reasons.iter().map(because));
    }
    lines.push(String::new());
    lines.extend(table::facts(&[
        ("missing", item::names(&explained.missing)),
        (
            "generation",
            answer::generation(&explained.generation, explained.variant()),
        ),
    ]));
    lines
}

/// An item and where it stands.
fn place(explanation: &Explanation) -> String {
    let Some(candidate) = &explanation.candidate else {
        return rank(explanation.rank);
    };
    let because = match explanation.reasons.is_empty() {
        true => "",
        false => "; because of:",
    };
    format!(
        "{}: {}, score {:.3}, interest {}{because}",
        print::title(candidate),
        rank(explanation.rank),
        candidate.score,
        candidate.interest
    )
}

/// An item of the history and what it does.
fn because(reason: &Reason) -> String {
    let title = reason.item.as_ref().map(item::title).unwrap_or_default();
    let mut line = format!("  {title} (similarity {:.3}", reason.similarity);
    if let Some(attention) = reason.attention {
        line += &format!(", attention {attention:.3}");
    }
    if let Some(score) = reason.score_without {
        line += &format!(
            "; without it {}, score {score:.3}",
            rank(reason.rank_without)
        );
    }
    line + ")"
}

/// A rank as the wire has it: 0 is none.
fn rank(rank: u32) -> String {
    match rank {
        0 => "not among the ranks".to_owned(),
        rank => format!("rank {rank}"),
    }
}

#[cfg(test)]
mod tests {
    use proto::v1::{Candidate, Item, Variant};

    use super::*;

    fn item(title: &str) -> Option<Item> {
        Some(Item {
            title: title.to_owned(),
            ..Default::default()
        })
    }

    #[test]
    fn an_item_is_explained_by_what_the_user_did() {
        let alien = Reason {
            item: item("Alien (1979)"),
            similarity: 0.83,
            attention: Some(0.5),
            score_without: Some(0.4),
            rank_without: 214,
        };
        let heat = Reason {
            item: item("Heat (1995)"),
            similarity: 0.25,
            ..Default::default()
        };
        let explained = ExplainRecallResponse {
            explanations: vec![Explanation {
                candidate: Some(Candidate {
                    score: 0.71,
                    interest: 1,
                    item: item("Aliens (1986)"),
                    ..Default::default()
                }),
                rank: 3,
                reasons: vec![alien, heat],
            }],
            generation: "g".to_owned(),
            variant: Variant::Serving.into(),
            ..Default::default()
        };
        assert_eq!(
            lines(&explained),
            [
                "Aliens (1986): rank 3, score 0.710, interest 1; because of:",
                "  Alien (1979) (similarity 0.830, attention 0.500; without it rank 214, score 0.400)",
                "  Heat (1995) (similarity 0.250)",
                "",
                "generation  g (serving)",
            ]
        );
        assert_eq!(
            document(&explained)["explanations"][0]["reasons"][1],
            json!({
                "item": { "id": 0, "key": "", "title": "Heat (1995)", "features": null },
                "similarity": 0.25,
                "attention": null,
                "score_without": null,
                "rank_without": 0,
            })
        );
    }

    #[test]
    fn an_item_that_cannot_be_returned_has_no_rank() {
        let seen = Explanation {
            candidate: Some(Candidate {
                id: 7,
                ..Default::default()
            }),
            ..Default::default()
        };
        assert_eq!(
            place(&seen),
            "item 7: not among the ranks, score 0.000, interest 0"
        );
    }
}
