"""A graph's error as a status: the runtime's own words, without the Python lines that built it."""

import tensorflow as tf

from serving.server import errors


def test_the_runtimes_words_are_kept_and_the_python_lines_are_not() -> None:
    told = "indices[0] = 7 is not in [0, 3)\n\t [[{{node GatherV2}}]]"
    lines = "\n\nOriginal stack trace for 'GatherV2':\n  File \"/home/me/train.py\", line 3"
    found = errors.from_tensorflow(tf.errors.InvalidArgumentError(None, None, told + lines))
    assert (found.code, found.message, found.http_status) == ("INVALID_ARGUMENT", told, 400)


def test_the_first_of_two_errors_is_told_under_the_last_ones_code() -> None:
    """A Session raises its own error, with Python's lines, while it handles the runtime's."""
    try:
        try:
            raise tf.errors.NotFoundError(None, None, "Graph execution error:\n\nno table")
        except tf.errors.OpError:
            raise tf.errors.InvalidArgumentError(None, None, "rewritten") from None
    except tf.errors.OpError as error:
        found = errors.from_tensorflow(error)
    assert (found.code, found.message) == ("INVALID_ARGUMENT", "Graph execution error:")


def test_a_number_without_a_name_is_unknown() -> None:
    found = errors.from_tensorflow(tf.errors.OpError(None, None, "odd", 99))
    assert (found.code, found.http_status, found.message) == ("UNKNOWN", 500, "odd")
