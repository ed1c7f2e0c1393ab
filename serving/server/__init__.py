"""The embedded server, which speaks the REST protocol of TensorFlow Serving."""
