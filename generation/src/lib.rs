//! What is made together and served together: manifest, partition, placement, publish, open, CURRENT.
