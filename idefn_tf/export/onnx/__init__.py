"""Export to ONNX: one graph from raw features to scores, for ONNX Runtime and Triton."""
