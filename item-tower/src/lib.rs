//! Embeds items from a named artifact, and serves shards of a generation.
