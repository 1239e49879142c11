//! Searching one shard: exact scan, HNSW, rows and items.
