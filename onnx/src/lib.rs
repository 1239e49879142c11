//! Trains the two towers, exports them as ONNX, evaluates them.
