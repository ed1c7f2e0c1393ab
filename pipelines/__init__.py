"""Jobs run from a checkout: python -m pipelines.prepare, train, evaluate, export, run."""

import logging
import os
import sys

from pipelines.cli.xla_cache import keep_programs, without_noise

# TensorFlow's start-up notes would drown what a job says; set the variable to see them
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # the same sums in the same order every run
# advice on retracing: a job loads several models and scores tables of several sizes on purpose
logging.getLogger("tensorflow").setLevel(logging.ERROR)
try:
    _kept = keep_programs(os.environ)
except ValueError as error:
    sys.stderr.write(f"error {error}\n")
    sys.exit(2)
if _kept is not None:
    without_noise()
