"""SparseCPUProvider for ONNX Runtime."""
