"""Shared programs: models of one form run one compiled function, each on variables of its own.

TensorFlow and XLA keep what they compiled of a function until the process ends, also for models
that are gone. Here the first function of a form is kept; others whose graph computes the same run
it. Every model still traces its own graph, so that whatever its Python reads counts.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from idefn_tf._graph_form import graph_form
from idefn_tf._tensorflow_private import BareFunction, is_recorded

#: How many functions are kept; what XLA compiled stays either way.
KEPT = 64
#: Functions by the form of their graph, the one asked for last at the end.
_kept: OrderedDict[str, BareFunction] = OrderedDict()
_lock = threading.Lock()


def shared(concrete: Any) -> Callable[..., Any]:
    """Returns what runs a traced function, by the program of an equal one where there is one.

    Within a graph, or while a gradient tape is open, it is the traced function itself.

    Args:
        concrete: what ``tf.function(...).get_concrete_function`` returns.

    Example:
        >>> from idefn_tf._shared_programs import shared
        >>> def adds_to(total):
        ...     program = tf.function(lambda x: total.assign_add(x))
        ...     return shared(program.get_concrete_function(tf.TensorSpec([])))
        >>> first, second = tf.Variable(1.0), tf.Variable(10.0)
        >>> [float(adds_to(total)(tf.constant(2.0))) for total in (first, second)]
        [3.0, 12.0]
    """
    form = graph_form(concrete)
    if form is None:
        return concrete
    with _lock:
        if form not in _kept:
            _kept[form] = BareFunction(concrete)
            while len(_kept) > KEPT:
                _kept.popitem(last=False)
        _kept.move_to_end(form)
        run = _kept[form].bind(concrete.captured_inputs)

    def call(*args: Any) -> Any:
        plain = tf.executing_eagerly() and not is_recorded()
        return run(*args) if plain else concrete(*args)

    return call


class SharedSteps:
    """Calls a ``tf.function`` that takes steps of a data set, by shared programs.

    Args:
        program: takes an iterator.
    """

    def __init__(self, program: Any) -> None:
        self.program = program
        self._runs: dict[int, Callable[..., Any]] = {}
        #: The last iterator and what runs on it, as one value: threads may call.
        self._last: tuple[Callable[[], Any], Callable[..., Any]] = (lambda: None, program)

    def __call__(self, iterator: Any) -> Any:
        """Takes steps of a plain iterator; others, such as distributed ones, go to the program."""
        plain = isinstance(iterator, tf.data.Iterator) and tf.executing_eagerly()
        if not plain or tf.config.functions_run_eagerly():
            return self.program(iterator)
        last, run = self._last
        if last() is not iterator:
            concrete = self.program.get_concrete_function(iterator)
            if id(concrete) not in self._runs:  # the program keeps it
                self._runs[id(concrete)] = shared(concrete)
            run = self._runs[id(concrete)]
            self._last = weakref.ref(iterator), run
        return run(iterator)
