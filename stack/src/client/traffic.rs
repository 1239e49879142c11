//! `twotower promote`, `rollback` and `traffic`: decide which generations answer.

use proto::v1::{
    self as pb, GetTrafficRequest, PromoteGenerationRequest, RollbackGenerationRequest,
    SetTrafficPolicyRequest, traffic_service_client::TrafficServiceClient,
};
use serde_json::{Value, json};
use tonic::Code;

use super::{
    connection::{Connection, Gateway},
    failure, table, words,
};

/// What is to serve.
#[derive(Debug, clap::Args)]
pub struct Promote {
    /// The generation; without it, the candidate.
    generation: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// What to go back from.
#[derive(Debug, clap::Args)]
pub struct Rollback {
    /// Do nothing if another generation serves, so that the command done again goes back once.
    #[arg(long, value_name = "GENERATION")]
    from: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// What a candidate is to answer; nothing of it changes without a candidate.
#[derive(Debug, clap::Args)]
pub struct Traffic {
    /// The candidate; an empty one ends the experiment.
    #[arg(long, value_name = "GENERATION")]
    candidate: Option<String>,
    /// The share of experiment units whose recalls it answers, 0 to 1.
    #[arg(long, requires = "candidate")]
    share: Option<f64>,
    /// The share of recalls that it answers, too, unseen by the caller, 0 to 1.
    #[arg(long, value_name = "SHARE", requires = "candidate")]
    shadow: Option<f64>,
    #[command(flatten)]
    connection: Connection,
}

impl Promote {
    /// Promotes, and shows what answers now.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut gateway = TrafficServiceClient::new(self.connection.channel().await?);
        let request = PromoteGenerationRequest {
            generation: self.generation.unwrap_or_default(),
        };
        let promoted = gateway.promote_generation(request).await;
        let promoted = promoted.map_err(failure::of)?.into_inner();
        print(&self.connection, promoted.traffic);
        Ok(())
    }
}

impl Rollback {
    /// Rolls back, and shows what answers now.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut gateway = TrafficServiceClient::new(self.connection.channel().await?);
        let request = RollbackGenerationRequest {
            from: self.from.unwrap_or_default(),
        };
        let rolled_back = gateway.rollback_generation(request).await;
        let rolled_back = rolled_back.map_err(failure::of)?.into_inner();
        print(&self.connection, rolled_back.traffic);
        Ok(())
    }
}

impl Traffic {
    /// Sets the policy if there is one, and shows what answers now.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut gateway = TrafficServiceClient::new(self.connection.channel().await?);
        let traffic = match self.candidate {
            Some(candidate) => {
                let request = SetTrafficPolicyRequest {
                    candidate,
                    candidate_share: self.share.unwrap_or_default(),
                    shadow_share: self.shadow.unwrap_or_default(),
                };
                let set = gateway.set_traffic_policy(request).await;
                set.map_err(failure::of)?.into_inner().traffic
            }
            None => {
                let found = gateway.get_traffic(GetTrafficRequest {}).await;
                found.map_err(failure::of)?.into_inner().traffic
            }
        };
        print(&self.connection, traffic);
        Ok(())
    }
}

/// Asks which generations answer; a gateway whose config does not let it decide that does not tell.
pub(crate) async fn known(channel: Gateway) -> anyhow::Result<Option<pb::Traffic>> {
    let mut gateway = TrafficServiceClient::new(channel);
    match gateway.get_traffic(GetTrafficRequest {}).await {
        Ok(found) => Ok(found.into_inner().traffic),
        Err(status) if status.code() == Code::Unimplemented => Ok(None),
        Err(status) => Err(failure::of(status)),
    }
}

/// Returns which generations answer as JSON.
pub(crate) fn document(traffic: &pb::Traffic) -> Value {
    json!({
        "serving": traffic.serving,
        "previous": traffic.previous,
        "candidate": traffic.candidate,
        "candidate_share": traffic.candidate_share,
        "shadow_share": traffic.shadow_share,
        "pinned": traffic.pinned,
        "laggards": traffic.laggards,
    })
}

fn print(connection: &Connection, traffic: Option<pb::Traffic>) {
    let traffic = traffic.unwrap_or_default();
    connection.print(
        || json!({ "traffic": document(&traffic) }),
        || lines(&traffic),
    );
}

fn lines(traffic: &pb::Traffic) -> Vec<String> {
    let candidate = match traffic.candidate.as_str() {
        "" => "none".to_owned(),
        candidate => format!(
            "{candidate}, for {} of the experiment units and in the shadow of {} of the recalls",
            words::percent(traffic.candidate_share),
            words::percent(traffic.shadow_share)
        ),
    };
    table::facts(&[
        ("serving", traffic.serving.clone()),
        ("previous", traffic.previous.clone()),
        ("candidate", candidate),
        ("answers", traffic.pinned.clone()),
        ("laggards", traffic.laggards.join(", ")),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_has_its_shares() {
        let traffic = pb::Traffic {
            serving: "b".to_owned(),
            candidate: "c".to_owned(),
            candidate_share: 0.1,
            shadow_share: 0.5,
            pinned: "b".to_owned(),
            ..Default::default()
        };
        assert_eq!(
            lines(&traffic),
            [
                "serving    b",
                "candidate  c, for 10.0 % of the experiment units and in the shadow of 50.0 % of the recalls",
                "answers    b",
            ]
        );
    }
}
