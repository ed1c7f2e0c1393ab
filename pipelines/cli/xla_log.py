"""XLA's start-up log: what its first program writes to standard error stays out of tables.

TF_CPP_MIN_LOG_LEVEL (set in `pipelines/__init__.py`, where the user has not) does not reach four
lines that XLA writes through absl, each once in a process: "WARNING: All log messages before
absl::InitializeLog() ...", two about its service and "Compiled cluster using XLA!". A job therefore
compiles one small program first, with the descriptor of standard error closed to it.
"""

from __future__ import annotations

import functools
import os
import sys

_VARIABLE = "TF_CPP_MIN_LOG_LEVEL"


@functools.cache
def start_xla() -> None:
    """Compiles x + 1, once a process, without what XLA writes then.

    TF_CPP_MIN_LOG_LEVEL=0 asks for every line, and keeps these. IDEFN_TF_JIT=0 leaves XLA alone.
    """
    if os.environ.get("IDEFN_TF_JIT") == "0":
        return
    import tensorflow as tf

    program = tf.function(lambda x: x + 1.0, jit_compile=True)
    if os.environ.get(_VARIABLE) == "0":
        program(tf.zeros(1))
        return
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        program(tf.zeros(1))
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
