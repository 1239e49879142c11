//! What the items of an answer must be.

use proto::v1::{self as pb, condition::Kind, item_ref::Name};

/// A filter as the caller sent it; the item towers read it, the gateway only passes it on.
#[derive(Clone, Debug)]
pub(crate) struct Filter(pb::Filter);

impl Filter {
    /// Takes a filter that has conditions.
    pub(crate) fn new(filter: pb::Filter) -> Option<Self> {
        let conditions = filter.must.len() + filter.should.len() + filter.must_not.len();
        (conditions > 0).then_some(Self(filter))
    }

    /// Lets these items pass only.
    pub(crate) fn only(items: &[u64]) -> Self {
        let items = items.iter().map(|id| pb::ItemRef {
            name: Some(Name::Id(*id)),
        });
        let has_id = pb::HasId {
            items: items.collect(),
        };
        Self(pb::Filter {
            must: vec![pb::Condition {
                kind: Some(Kind::HasId(has_id)),
            }],
            ..pb::Filter::default()
        })
    }

    /// The filter for a call to an item tower.
    pub(crate) fn to_wire(&self) -> pb::Filter {
        self.0.clone()
    }
}
