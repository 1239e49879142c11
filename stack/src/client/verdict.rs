//! `twotower verdict`: compares the candidate's answers with those of the generation that serves.

use proto::v1::{
    GetVerdictRequest, GetVerdictResponse, VariantFigures,
    traffic_service_client::TrafficServiceClient,
};
use serde_json::{Value, json};

use super::{
    connection::Connection,
    failure, json,
    table::{self, Table},
    words,
};

/// Which gateway to ask: each compares by the recalls that it answered itself.
#[derive(Debug, clap::Args)]
pub struct Verdict {
    #[command(flatten)]
    connection: Connection,
}

impl Verdict {
    /// Asks once.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut gateway = TrafficServiceClient::new(self.connection.channel().await?);
        let verdict = gateway.get_verdict(GetVerdictRequest {}).await;
        let verdict = verdict.map_err(failure::of)?.into_inner();
        self.connection
            .print(|| document(&verdict), || lines(&verdict));
        Ok(())
    }
}

fn document(verdict: &GetVerdictResponse) -> Value {
    json!({
        "serving": verdict.serving,
        "candidate": verdict.candidate,
        "recalls": verdict.recalls,
        "failed": verdict.failed,
        "skipped": verdict.skipped,
        "overlap": verdict.overlap,
        "score_drift": verdict.score_drift,
        "of_serving": verdict.of_serving.as_ref().map(figures),
        "of_candidate": verdict.of_candidate.as_ref().map(figures),
    })
}

fn figures(figures: &VariantFigures) -> Value {
    json!({
        "latency_p50": json::duration(figures.latency_p50),
        "latency_p99": json::duration(figures.latency_p99),
        "coverage": figures.coverage,
        "degraded": figures.degraded,
    })
}

fn lines(verdict: &GetVerdictResponse) -> Vec<String> {
    let candidate = match verdict.candidate.as_str() {
        "" => "none",
        candidate => candidate,
    };
    let mut lines = table::facts(&[
        ("serving", verdict.serving.clone()),
        ("candidate", candidate.to_owned()),
        ("recalls", format!("{} that both answered", verdict.recalls)),
        ("failed", verdict.failed.to_string()),
        ("skipped", verdict.skipped.to_string()),
        ("overlap", words::percent(verdict.overlap)),
        (
            "score drift",
            format!("{:+.3} standard deviations", verdict.score_drift),
        ),
    ]);
    lines.push(String::new());
    let table = Table::default()
        .left("", ["latency p50", "latency p99", "coverage", "degraded"])
        .right("serving", cells(verdict.of_serving))
        .right("candidate", cells(verdict.of_candidate));
    lines.extend(table.lines());
    lines
}

fn cells(figures: Option<VariantFigures>) -> [String; 4] {
    let Some(figures) = figures else {
        return std::array::from_fn(|_| "-".to_owned());
    };
    [
        words::took(figures.latency_p50),
        words::took(figures.latency_p99),
        words::percent(figures.coverage),
        words::percent(figures.degraded),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_generations_stand_side_by_side() {
        let verdict = GetVerdictResponse {
            serving: "b".to_owned(),
            candidate: "c".to_owned(),
            recalls: 100,
            failed: 2,
            skipped: 1,
            overlap: 0.75,
            score_drift: -0.5,
            of_serving: Some(VariantFigures {
                coverage: 1.0,
                ..Default::default()
            }),
            of_candidate: None,
        };
        assert_eq!(
            lines(&verdict),
            [
                "serving      b",
                "candidate    c",
                "recalls      100 that both answered",
                "failed       2",
                "skipped      1",
                "overlap      75.0 %",
                "score drift  -0.500 standard deviations",
                "",
                "             serving  candidate",
                "latency p50        -          -",
                "latency p99        -          -",
                "coverage     100.0 %          -",
                "degraded       0.0 %          -",
            ]
        );
    }
}
