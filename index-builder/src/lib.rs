//! The batch re-index job: catalog, embed, build, verify, publish.
