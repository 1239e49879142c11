//! Promote, roll back, and the share of a candidate.

use std::sync::Arc;

use generation::{
    error::Error as StoreError,
    store::{Candidate, Current},
    traffic,
};
use proto::v1::{self as pb, traffic_service_server::TrafficService};
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use super::{deadline, recall::duration};
use crate::{
    error::Error,
    shadow::{Figures, Shadow},
    topology::Topology,
};

/// Changes what CURRENT names, as far as the members of `topology` hold it, and tells what `shadow` found.
#[derive(Debug)]
pub(crate) struct Service {
    topology: Arc<Topology>,
    shadow: Arc<Shadow>,
}

impl Service {
    pub(super) fn new(topology: Arc<Topology>, shadow: Arc<Shadow>) -> Self {
        Self { topology, shadow }
    }

    /// What CURRENT names now.
    async fn current(&self) -> Result<Current, Error> {
        let current = self.topology.store.current().await?;
        Ok(current.ok_or(StoreError::NothingServes)?.value)
    }

    /// Refuses a generation that a healthy member lacks.
    async fn check_held(&self, generation: &str, until: Instant) -> Result<(), Error> {
        let view = self.topology.refresh(until).await;
        match view.is_everywhere(generation) {
            true => Ok(()),
            false => Err(Error::NotWhole {
                generation: generation.to_owned(),
            }),
        }
    }

    async fn serve(&self, generation: &str, until: Instant) -> Result<Current, Error> {
        self.check_held(generation, until).await?;
        Ok(traffic::promote(&self.topology.store, generation).await?)
    }

    /// Tells what CURRENT names and, once the members are looked at again, what this gateway answers from.
    async fn traffic(&self, current: Current, until: Instant) -> Option<pb::Traffic> {
        let view = self.topology.refresh(until).await;
        let candidate = current.candidate.unwrap_or(Candidate {
            generation: String::new(),
            share: 0.0,
            shadow: 0.0,
        });
        Some(pb::Traffic {
            serving: current.serving,
            previous: current.previous.unwrap_or_default(),
            candidate: candidate.generation,
            candidate_share: candidate.share,
            shadow_share: candidate.shadow,
            pinned: view.pinned().unwrap_or_default().to_owned(),
            laggards: view.laggards().to_vec(),
        })
    }
}

#[tonic::async_trait]
impl TrafficService for Service {
    async fn get_traffic(
        &self,
        request: Request<pb::GetTrafficRequest>,
    ) -> Result<Response<pb::GetTrafficResponse>, Status> {
        let until = deadline(&request);
        let current = self.current().await?;
        let traffic = self.traffic(current, until).await;
        Ok(Response::new(pb::GetTrafficResponse { traffic }))
    }

    async fn promote_generation(
        &self,
        request: Request<pb::PromoteGenerationRequest>,
    ) -> Result<Response<pb::PromoteGenerationResponse>, Status> {
        let until = deadline(&request);
        let mut generation = request.into_inner().generation;
        let mut current = self.current().await?;
        if generation.is_empty() {
            let candidate = current.candidate.as_ref();
            let none = || Error::field("generation", "is empty, and there is no candidate");
            generation = candidate.ok_or_else(none)?.generation.clone();
        }
        if current.serving != generation {
            current = self.serve(&generation, until).await?;
        }
        let traffic = self.traffic(current, until).await;
        Ok(Response::new(pb::PromoteGenerationResponse { traffic }))
    }

    async fn rollback_generation(
        &self,
        request: Request<pb::RollbackGenerationRequest>,
    ) -> Result<Response<pb::RollbackGenerationResponse>, Status> {
        let until = deadline(&request);
        let from = request.into_inner().from;
        let mut current = self.current().await?;
        if from.is_empty() || from == current.serving {
            let previous = current.previous.ok_or(StoreError::NoPrevious {
                serving: current.serving,
            });
            let previous = previous.map_err(Error::from)?;
            current = self.serve(&previous, until).await?;
        }
        let traffic = self.traffic(current, until).await;
        Ok(Response::new(pb::RollbackGenerationResponse { traffic }))
    }

    async fn set_traffic_policy(
        &self,
        request: Request<pb::SetTrafficPolicyRequest>,
    ) -> Result<Response<pb::SetTrafficPolicyResponse>, Status> {
        let until = deadline(&request);
        let pb::SetTrafficPolicyRequest {
            candidate,
            candidate_share: share,
            shadow_share: shadow,
        } = request.into_inner();
        for (field, share) in [("candidate_share", share), ("shadow_share", shadow)] {
            if !(0.0..=1.0).contains(&share) {
                let description = format!("is {share}, must be between 0 and 1");
                return Err(Error::field(field, description).into());
            }
        }
        if candidate.is_empty() && share.max(shadow) > 0.0 {
            let description = format!("is empty, but its share is {}", share.max(shadow));
            return Err(Error::field("candidate", description).into());
        }
        if candidate == self.current().await?.serving {
            let description = format!("is {candidate}, which serves already");
            return Err(Error::field("candidate", description).into());
        }
        let candidate = (!candidate.is_empty()).then_some(Candidate {
            generation: candidate,
            share,
            shadow,
        });
        if let Some(candidate) = &candidate
            && share.max(shadow) > 0.0
        {
            self.check_held(&candidate.generation, until).await?;
        }
        let current = traffic::set_candidate(&self.topology.store, candidate).await;
        let current = current.map_err(Error::from)?;
        let traffic = self.traffic(current, until).await;
        Ok(Response::new(pb::SetTrafficPolicyResponse { traffic }))
    }

    async fn get_verdict(
        &self,
        _: Request<pb::GetVerdictRequest>,
    ) -> Result<Response<pb::GetVerdictResponse>, Status> {
        let current = self.current().await?;
        let candidate = current.candidate.map(|candidate| candidate.generation);
        let candidate = candidate.unwrap_or_default();
        let found = self.shadow.verdict(&current.serving, &candidate);
        Ok(Response::new(pb::GetVerdictResponse {
            serving: current.serving,
            candidate,
            recalls: found.recalls,
            failed: found.failed,
            skipped: found.skipped,
            overlap: found.overlap(),
            score_drift: found.drift(),
            of_serving: Some(figures(&found.serving)),
            of_candidate: Some(figures(&found.candidate)),
        }))
    }
}

fn figures(figures: &Figures) -> pb::VariantFigures {
    pb::VariantFigures {
        latency_p50: duration(figures.time(0.5)),
        latency_p99: duration(figures.time(0.99)),
        coverage: figures.coverage(),
        degraded: figures.degraded(),
    }
}
