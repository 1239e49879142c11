//! What training, serving and indexing must agree on: features to tensors, artifacts, ONNX Runtime sessions.
