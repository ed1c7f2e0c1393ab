"""Request and answer bodies: JSON and tf.Example, in TensorFlow Serving's words."""
