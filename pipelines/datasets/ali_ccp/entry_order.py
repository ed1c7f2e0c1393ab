"""Sorts list entries by a composite key: line, value and id as one 64-bit number where they fit."""

from __future__ import annotations

import numpy as np

_KEY_BITS = 63


def ranked(
    line: np.ndarray, ids: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sorts the entries of lists by line, then by falling value, then by id.

    Args:
        line: of each entry, 0 or more, [n].
        ids: 0 or more, [n].
        values: 0 or more, [n].

    Returns:
        The three in their order.
    """
    if not len(line):
        return line, ids, values
    known = np.sort(values)
    known = known[np.concatenate(([True], known[1:] != known[:-1]))]
    least = int(ids.min())
    id_bits = (int(ids.max()) - least).bit_length()
    value_bits = (len(known) - 1).bit_length()
    if int(line.max()).bit_length() + value_bits + id_bits > _KEY_BITS:
        order = np.lexsort((ids, -values, line))
        return line[order], ids[order], values[order]
    # one number holds all three, so that they are sorted as they are
    falling = len(known) - 1 - np.searchsorted(known, values)
    keys = (line << (value_bits + id_bits)) | (falling << id_bits) | (ids - least)
    keys.sort()
    values = known[len(known) - 1 - ((keys >> id_bits) & ((1 << value_bits) - 1))]
    return keys >> (value_bits + id_bits), (keys & ((1 << id_bits) - 1)) + least, values
