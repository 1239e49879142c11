//! `twotower score`: scores items for a user.

use proto::v1::{
    ItemRef, ScoreItemsRequest, ScoreItemsResponse, recall_service_client::RecallServiceClient,
};
use serde_json::{Value, json};

use super::{answer, connection::Connection, failure, item, json, table};

/// What to score.
#[derive(Debug, clap::Args)]
pub struct Score {
    /// The user.
    #[arg(long, value_name = "ID")]
    user: String,
    /// The items, by id or key.
    #[arg(value_name = "ITEM", required = true, value_parser = item::parse)]
    items: Vec<ItemRef>,
    /// Score by this generation instead of the one that serves.
    #[arg(long)]
    generation: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

impl Score {
    /// Asks once.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut gateway = RecallServiceClient::new(self.connection.channel().await?);
        let request = ScoreItemsRequest {
            user_id: self.user,
            items: self.items,
            generation: self.generation.unwrap_or_default(),
            with_item: true,
            ..Default::default()
        };
        let scored = gateway.score_items(request).await;
        let scored = scored.map_err(failure::of)?.into_inner();
        self.connection
            .print(|| document(&scored), || lines(&scored));
        Ok(())
    }
}

fn document(scored: &ScoreItemsResponse) -> Value {
    json!({
        "candidates": json::list(&scored.candidates, json::candidate),
        "missing": json::list(&scored.missing, json::item_ref),
        "generation": scored.generation,
        "space": scored.space,
        "degraded_reasons": json::degraded(scored.degraded_reasons()),
        "cold_start": scored.cold_start,
        "variant": scored.variant().as_str_name(),
    })
}

fn lines(scored: &ScoreItemsResponse) -> Vec<String> {
    let mut lines = answer::by_interest(&scored.candidates, 0);
    lines.push(String::new());
    lines.extend(table::facts(&[
        ("missing", item::names(&scored.missing)),
        (
            "generation",
            answer::generation(&scored.generation, scored.variant()),
        ),
        ("degraded", answer::degraded(scored.degraded_reasons())),
        ("user", answer::cold_start(scored.cold_start)),
    ]));
    lines
}
