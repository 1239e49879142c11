//! Distributed recall: embed at the owner, scatter over shards, merge.
