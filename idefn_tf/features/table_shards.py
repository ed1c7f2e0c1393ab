"""Shards: a table's rows sharded to several devices, each share a table of its own."""

from __future__ import annotations

import contextlib
import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf


@dataclass(frozen=True)
class Shards:
    """How the rows of every table are sharded to n shares.

    Row r > 0 is row 1 + (r - 1) // n of share (r - 1) % n. Every share is a variable with a row 0
    of its own that is padding, as a whole table has. An exposure asks every share for its
    rows, and in place of those that lie elsewhere for row 0, which counts as zero; the shares'
    answers are added up. So each share is read, updated and kept up to date as any table is, on its
    own device, with its moments beside it; what crosses over are the distinct rows of a batch.

    Turns give each share as many of the frequent rows, which stand first in a field.

    Attributes:
        count: how many shares, n.
        devices: of each share, as ``tf.device`` takes it; none where all lie where they are made.
    """

    count: int = 1
    devices: tuple[str, ...] = ()

    @classmethod
    def of(cls, value: int | Sequence[str]) -> Shards:
        """Takes a number of shares, or the device of each, as `FeatureColumns` checked them."""
        if isinstance(value, numbers.Integral):
            return cls(int(value))
        devices: Sequence[str] = value  # type: ignore[assignment]
        return cls(len(devices), tuple(devices))

    def to_config(self) -> int | list[str]:
        """Returns what `of` takes."""
        return list(self.devices) or self.count

    def where_they_exist(self) -> Shards:
        """Returns the same shares on their devices, or on no device where one of them is absent."""
        return self if all(map(_exists, self.devices)) else Shards(self.count)

    def check(self) -> None:
        """Checks that the devices are there, and that no strategy copies tables to every replica.

        Raises:
            ValueError: if not.
        """
        absent = [device for device in self.devices if not _exists(device)]
        if absent:
            known = [f"{d.device_type}:{d.name[-1]}" for d in tf.config.list_logical_devices()]
            raise ValueError(f"shards: {absent} must be among the devices {known}")
        if self.count > 1 and tf.distribute.has_strategy():
            raise ValueError(
                "shards: must be 1 under a strategy, which copies every table to every replica, "
                f"received {self.to_config()}; use training.strategy=none"
            )

    def names(self, width: str) -> list[str]:
        """Returns the keys of a table's shares: the width alone where there is one."""
        return [width] if self.count == 1 else [f"{width}_{k}" for k in range(self.count)]

    def device(self, share: int) -> Any:
        """Returns the context in which a share is made."""
        return tf.device(self.devices[share]) if self.devices else contextlib.nullcontext()

    def size(self, rows: int, share: int) -> int:
        """Returns how many rows a share of a table of `rows` has, row 0 included."""
        return rows if self.count == 1 else 1 + len(range(share, rows - 1, self.count))

    def split(self, rows: tf.Tensor) -> list[tf.Tensor]:
        """Returns the rows to ask of each share, 0 where they lie elsewhere; shapes stay."""
        if self.count == 1:
            return [rows]
        share = tf.math.floormod(rows - 1, self.count)
        local = tf.math.floordiv(rows - 1, self.count) + 1
        there = rows > 0
        return [
            tf.where(tf.logical_and(there, tf.equal(share, k)), local, 0) for k in range(self.count)
        ]

    def cut(self, values: np.ndarray) -> list[np.ndarray]:
        """Cuts a whole table [V, d] into its shares; each gets a row 0."""
        if self.count == 1:
            return [values]
        return [
            np.concatenate([values[:1], values[1 + k :: self.count]]) for k in range(self.count)
        ]

    def join(self, shares: Sequence[Any]) -> np.ndarray:
        """Puts the shares [V_k, d] together: the inverse of `cut`."""
        arrays = [np.asarray(share) for share in shares]
        if self.count == 1:
            return arrays[0]
        rows = 1 + sum(len(array) - 1 for array in arrays)
        whole = np.empty((rows, *arrays[0].shape[1:]), arrays[0].dtype)
        whole[0] = arrays[0][0]
        for k, array in enumerate(arrays):
            whole[1 + k :: self.count] = array[1:]
        return whole


def _exists(device: str) -> bool:
    """Whether a device is there (TensorFlow itself would quietly take another)."""
    try:
        wanted = tf.DeviceSpec.from_string(device)
        with tf.device(device):
            found = tf.DeviceSpec.from_string(tf.zeros([]).device)
    except (ValueError, tf.errors.OpError):
        return False
    return bool(found.make_merged_spec(wanted) == found)
