"""TensorFlow's private names, all of them here: what must be looked at when TensorFlow moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tensorflow.python.eager import context, record


def is_recorded() -> bool:
    """Whether a gradient tape is open, outside of graphs, to which a call may matter."""
    return bool(record.could_possibly_record())


class BareFunction:
    """A traced function without the graph that it was traced into, hence without its variables.

    TensorFlow keeps what is needed to run it for as long as this lives.

    Args:
        concrete: what ``tf.function(...).get_concrete_function`` returns.
    """

    def __init__(self, concrete: Any) -> None:
        self._function = _bare(concrete.inference_fn)

    def bind(self, captures: Sequence[Any]) -> Callable[..., Any]:
        """Returns the function of arguments alone, run eagerly.

        Args:
            captures: what the function reads and writes from outside, in its order.
        """
        function, form = self._function, self._function.function_type
        captured = form.unpack_captures(captures)

        def run(*args: Any) -> Any:
            return function.call_preflattened([*form.unpack_inputs(form.bind(*args)), *captured])

        return run


def _bare(function: Any) -> Any:
    """Returns an AtomicFunction of the same name in TensorFlow's runtime, without a graph."""
    children = [_bare(child) for child in function.children]
    return type(function)(
        function.name, context.context(), function.function_type, children, function.call_options
    )
