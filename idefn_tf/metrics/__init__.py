"""The numbers: exact metrics on arrays and streaming Keras metrics with stated bins.

Lower-case names are exact functions on whole arrays (NumPy, float64); capitalised names are Keras
metrics for `fit`. Both share their definitions, their weights and their rule for what is
undefined: NaN.
"""

from idefn_tf.metrics.binary_metrics import BINARY_METRICS, BinaryMetrics
from idefn_tf.metrics.calibration_error import ECE
from idefn_tf.metrics.exact_metrics import auc, ece, gauc, ks, log_loss, pcoc
from idefn_tf.metrics.histogram_auc import HistogramAUC
from idefn_tf.metrics.histogram_ks import HistogramKS
from idefn_tf.metrics.score_histogram import ScoreHistogram
from idefn_tf.metrics.streaming_gauc import GAUC
from idefn_tf.metrics.streaming_log_loss import LogLoss
from idefn_tf.metrics.streaming_pcoc import PCOC
from idefn_tf.metrics.weighted_ratio import WeightedRatio

__all__ = [
    "BINARY_METRICS",
    "ECE",
    "GAUC",
    "PCOC",
    "BinaryMetrics",
    "HistogramAUC",
    "HistogramKS",
    "LogLoss",
    "ScoreHistogram",
    "WeightedRatio",
    "auc",
    "ece",
    "gauc",
    "ks",
    "log_loss",
    "pcoc",
]
