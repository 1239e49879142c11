//! Embeds users: event store, models, micro-batcher, inference.
