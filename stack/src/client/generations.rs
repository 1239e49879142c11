//! `twotower generations`: lists the generations held, and what they are for.

use proto::v1::{
    Generation, ListGenerationsRequest, ListGenerationsResponse, Traffic,
    generation_service_client::GenerationServiceClient,
};
use serde_json::{Value, json};

use super::{connection::Connection, failure, json, table::Table, traffic, words};

/// Which gateway to ask.
#[derive(Debug, clap::Args)]
pub struct Generations {
    #[command(flatten)]
    connection: Connection,
}

impl Generations {
    /// Asks which generations are held and, where that is served, what they are for.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let channel = self.connection.channel().await?;
        let held = GenerationServiceClient::new(channel.clone())
            .list_generations(ListGenerationsRequest {})
            .await;
        let held = held.map_err(failure::of)?.into_inner();
        let traffic = traffic::known(channel).await?;
        self.connection.print(
            || document(&held, traffic.as_ref()),
            || lines(&held.generations, traffic.as_ref()),
        );
        Ok(())
    }
}

fn document(held: &ListGenerationsResponse, traffic: Option<&Traffic>) -> Value {
    json!({
        "generations": json::list(&held.generations, generation),
        "members_epoch": held.members_epoch,
        "member": held.member,
        "traffic": traffic.map(traffic::document),
    })
}

fn generation(generation: &Generation) -> Value {
    json!({
        "id": generation.id,
        "space": generation.space,
        "items": generation.items,
        "shards": generation.shards,
        "serving": generation.serving,
    })
}

fn lines(generations: &[Generation], traffic: Option<&Traffic>) -> Vec<String> {
    if generations.is_empty() {
        return vec!["no generations".to_owned()];
    }
    let each = || generations.iter();
    Table::default()
        .left("generation", each().map(|one| &one.id))
        .right("items", each().map(|one| one.items))
        .right("shards", each().map(|one| one.shards))
        .left("space", each().map(|one| &one.space))
        .left("", each().map(|one| role(one, traffic)))
        .lines()
}

/// What a generation is for, as far as it is known.
fn role(generation: &Generation, traffic: Option<&Traffic>) -> String {
    let mut roles = Vec::new();
    if generation.serving {
        roles.push("serving".to_owned());
    }
    if let Some(traffic) = traffic {
        if traffic.serving == generation.id && !generation.serving {
            roles.push("to serve".to_owned());
        }
        if traffic.previous == generation.id {
            roles.push("previous".to_owned());
        }
        if traffic.candidate == generation.id {
            let share = words::percent(traffic.candidate_share);
            roles.push(format!("candidate for {share}"));
        }
    }
    roles.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generation(id: &str, serving: bool) -> Generation {
        Generation {
            id: id.to_owned(),
            space: "s".to_owned(),
            items: 100,
            shards: 2,
            serving,
        }
    }

    #[test]
    fn generations_are_listed_with_what_they_are_for() {
        let generations = ["c", "b", "a"].map(|id| generation(id, id == "b"));
        let traffic = Traffic {
            serving: "b".to_owned(),
            previous: "a".to_owned(),
            candidate: "c".to_owned(),
            candidate_share: 0.1,
            ..Default::default()
        };
        assert_eq!(
            lines(&generations, Some(&traffic)),
            [
                "generation  items  shards  space",
                "c             100       2  s      candidate for 10.0 %",
                "b             100       2  s      serving",
                "a             100       2  s      previous",
            ]
        );
    }

    #[test]
    fn a_gateway_that_tells_no_traffic_still_tells_what_serves() {
        assert_eq!(role(&generation("a", true), None), "serving");
        assert_eq!(role(&generation("b", false), None), "");
    }

    #[test]
    fn a_generation_that_members_lack_is_yet_to_serve() {
        let traffic = Traffic {
            serving: "b".to_owned(),
            ..Default::default()
        };
        assert_eq!(role(&generation("b", false), Some(&traffic)), "to serve");
    }
}
