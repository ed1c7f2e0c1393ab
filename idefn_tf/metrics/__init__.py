"""The numbers: exact metrics on arrays and streaming Keras metrics with stated bins."""

from idefn_tf.metrics.exact import auc, ece, gauc, ks, log_loss, pcoc

__all__ = ["auc", "ece", "gauc", "ks", "log_loss", "pcoc"]
