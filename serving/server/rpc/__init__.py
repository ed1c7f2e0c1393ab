"""gRPC: TensorFlow Serving's PredictionService and ModelService."""
