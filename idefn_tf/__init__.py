"""idefn_tf: entire-space conversion-rate models for TensorFlow and Keras."""

__version__ = "0.1.0"
