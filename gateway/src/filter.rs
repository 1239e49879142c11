//! What the items of an answer must be.

/// A filter as the caller sent it; the item towers read it, the gateway only passes it on.
#[derive(Clone, Debug)]
pub(crate) struct Filter(proto::v1::Filter);

impl Filter {
    /// Takes a filter that has conditions.
    pub(crate) fn new(filter: proto::v1::Filter) -> Option<Self> {
        let conditions = filter.must.len() + filter.should.len() + filter.must_not.len();
        (conditions > 0).then_some(Self(filter))
    }

    /// The filter for a call to an item tower.
    pub(crate) fn to_wire(&self) -> proto::v1::Filter {
        self.0.clone()
    }
}
