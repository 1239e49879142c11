//! Search and ListShards.

use std::sync::Arc;

use index::{plan::Plan, shard::Shard};
use proto::v1::{self as pb, search_service_server::SearchService};
use service::{blocking::Blocking, deadline::Deadline};
use tonic::{Request, Response, Status};

use crate::{
    error::Error,
    grpc::filter,
    search::{self, Query, ShardFound},
    shards::{
        Shards,
        held::{Held, Mapped},
    },
};

/// Searches what `shards` holds.
pub(crate) struct Service {
    pub(crate) shards: Arc<Shards>,
    pub(crate) blocking: Blocking,
}

#[tonic::async_trait]
impl SearchService for Service {
    async fn search(
        &self,
        request: Request<pb::SearchRequest>,
    ) -> Result<Response<pb::SearchResponse>, Status> {
        let deadline = Deadline::of(&request);
        let query = Query::try_from(request.into_inner())?;
        let snapshot = self.shards.snapshot();
        let found = search::search(query, &snapshot, &self.blocking, deadline).await?;
        Ok(Response::new(pb::SearchResponse {
            shards: found.into_iter().map(pb::ShardHits::from).collect(),
        }))
    }

    async fn get_vectors(
        &self,
        request: Request<pb::GetVectorsRequest>,
    ) -> Result<Response<pb::GetVectorsResponse>, Status> {
        let deadline = Deadline::of(&request);
        let request = request.into_inner();
        let snapshot = self.shards.snapshot();
        let held = snapshot.get(&request.generation)?;
        let (ids, vectors) = search::vectors(held, &request.ids, request.as_of, deadline).await?;
        let bytes = vectors.iter().flat_map(|number| number.to_le_bytes());
        Ok(Response::new(pb::GetVectorsResponse {
            ids,
            vectors: Some(pb::Vectors {
                f32: bytes.collect(),
                dim: held.manifest.dim as u32,
                space: held.manifest.space.clone(),
            }),
        }))
    }

    async fn list_shards(
        &self,
        _: Request<pb::ListShardsRequest>,
    ) -> Result<Response<pb::ListShardsResponse>, Status> {
        let snapshot = self.shards.snapshot();
        Ok(Response::new(pb::ListShardsResponse {
            generations: snapshot
                .held()
                .iter()
                .map(|held| held_shards(held))
                .collect(),
        }))
    }
}

impl TryFrom<pb::SearchRequest> for Query {
    type Error = Error;

    fn try_from(request: pb::SearchRequest) -> Result<Self, Error> {
        let vectors = request.interests.unwrap_or_default();
        let dim = vectors.dim as usize;
        let (values, rest) = vectors.f32.as_chunks();
        if dim == 0 || !rest.is_empty() || values.len() % dim != 0 {
            return Err(Error::Field {
                field: "interests",
                description: format!(
                    "has {} bytes, which are no vectors of dimension {dim}",
                    vectors.f32.len()
                ),
            });
        }
        let shards = request.shards.into_iter();
        let query = Self {
            generation: request.generation,
            space: vectors.space,
            dim,
            interests: values.iter().copied().map(f32::from_le_bytes).collect(),
            shards: shards.map(|query| (query.shard, query.exclude)).collect(),
            k: request.k as usize,
            filter: filter::from_wire(request.filter)?,
            exact: request.exact,
            as_of: request.as_of,
            fresh_only: request.fresh_only,
            steady: request.steady,
        };
        query.validate()?;
        Ok(query)
    }
}

impl From<ShardFound> for pb::ShardHits {
    fn from(ShardFound { shard, found }: ShardFound) -> Self {
        Self {
            shard,
            ids: found.hits.iter().map(|hit| hit.id).collect(),
            scores: found.hits.iter().map(|hit| hit.score).collect(),
            interests: found.hits.iter().map(|hit| hit.interest).collect(),
            eligible: found.eligible,
            searched: found.searched,
            exact: found.plan.is_exact(),
            plan: to_wire(found.plan).into(),
            fresh: found.fresh,
            items: found.rows,
            fresh_items: found.fresh_rows,
            as_of: found.as_of,
        }
    }
}

fn to_wire(plan: Plan) -> pb::SearchPlan {
    match plan {
        Plan::Scan => pb::SearchPlan::Scan,
        Plan::Matches => pb::SearchPlan::Matches,
        Plan::Cells => pb::SearchPlan::Cells,
        Plan::Graph { .. } => pb::SearchPlan::Graph,
    }
}

fn held_shards(held: &Held) -> pb::HeldGeneration {
    let shard = |(&shard, opened): (&u32, &Shard<Mapped>)| {
        let measured = held.meter.recall(shard);
        pb::HeldShard {
            shard,
            items: opened.len() as u64,
            recall: measured.recall,
            recall_searches: measured.searches,
            tier: opened.tier() as u32,
        }
    };
    pb::HeldGeneration {
        generation: held.manifest.id.clone(),
        space: held.manifest.space.clone(),
        shards: held.shards.iter().map(shard).collect(),
        delta: held.delta(),
    }
}
