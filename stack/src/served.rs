//! Compares what the servers answer with what offline evaluation recommends.

use onnx::{dataset::Dataset, evaluate::Answer};
use proto::v1::{
    Candidate, RecallOptions, RecallRequest, recall_service_client::RecallServiceClient,
};
use tonic::transport::Channel;

/// Scores this close count as a tie: the batch size changes the last bits of a vector.
const TIE: f32 = 1e-5;

/// How the servers' answers compare.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// Users asked for.
    pub users: usize,
    /// Users whose answer is the same.
    pub equal: usize,
}

impl Comparison {
    /// The share of users whose answer is the same.
    pub fn share(&self) -> f64 {
        self.equal as f64 / self.users.max(1) as f64
    }
}

/// Asks the gateway for every user of `offline`, and compares item by item up to ties. All answers come from `generation`.
///
/// # Errors
/// If a recall fails.
pub async fn compare(
    gateway: Channel,
    generation: &str,
    dataset: &Dataset,
    offline: &[Answer],
) -> anyhow::Result<Comparison> {
    let mut gateway = RecallServiceClient::new(gateway);
    let mut equal = 0;
    for expected in offline {
        let request = RecallRequest {
            user_id: dataset.users[expected.user as usize].id.clone(),
            page_size: expected.items.len() as u32,
            options: Some(RecallOptions {
                exact: true,
                ..Default::default()
            }),
            ..Default::default()
        };
        let answer = gateway.recall(request).await?.into_inner();
        equal += usize::from(
            answer.generation == generation && same(&answer.candidates, &expected.items),
        );
    }
    Ok(Comparison {
        users: offline.len(),
        equal,
    })
}

/// Whether both lists hold the same items in the same order, where items of almost equal score may change places.
fn same(served: &[Candidate], offline: &[(u64, f32)]) -> bool {
    served.len() == offline.len()
        && served.iter().zip(offline).all(|(served, &(id, score))| {
            let tied = (served.score - score).abs() <= TIE * score.abs().max(1.0);
            tied && (served.id == id || has_tie(offline, id, score))
        })
}

/// Whether another item's score is almost that of `id`, or `id` is the last and may be tied with one not listed.
fn has_tie(offline: &[(u64, f32)], id: u64, score: f32) -> bool {
    let tied = |&&(other, near): &&(u64, f32)| {
        other != id && (near - score).abs() <= 2.0 * TIE * score.abs().max(1.0)
    };
    offline.iter().find(tied).is_some() || offline.last().is_some_and(|&(last, _)| last == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(id: u64, score: f32) -> Candidate {
        Candidate {
            id,
            score,
            ..Default::default()
        }
    }

    #[test]
    fn another_item_with_another_score_is_a_difference() {
        assert!(same(
            &[candidate(1, 2.0), candidate(2, 1.0)],
            &[(1, 2.0), (2, 1.0)]
        ));
        assert!(!same(
            &[candidate(3, 1.5), candidate(2, 1.0)],
            &[(1, 2.0), (2, 1.0)]
        ));
        assert!(!same(&[candidate(1, 2.0)], &[(1, 2.0), (2, 1.0)]));
    }

    #[test]
    fn items_of_equal_score_may_change_places() {
        let offline = [(1, 2.0), (2, 2.000_001), (3, 1.0)];
        assert!(same(
            &[candidate(2, 2.0), candidate(1, 2.0), candidate(3, 1.0)],
            &offline
        ));
        assert!(!same(
            &[candidate(4, 2.0), candidate(1, 2.0), candidate(5, 0.5)],
            &offline
        ));
    }
}
