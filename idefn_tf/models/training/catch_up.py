"""CatchUp: a callback that brings embedding tables up to date before others look at them."""

from __future__ import annotations

from typing import Any

import keras

from idefn_tf.optimizers import catch_up


class CatchUp(keras.callbacks.Callback):
    """Brings the tables up to date at the end of an epoch, for the callbacks that follow."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Applies what rows have missed while no batch held them."""
        catch_up(self.model.optimizer)
