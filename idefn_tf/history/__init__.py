"""History: what a user, an item or a pair did before, as of each row's moment.

`attach` joins it to a table, point in time. The same code serves preparation, evaluation,
DataFrames and exports.
"""

from idefn_tf.history.attach import attach

__all__ = ["attach"]
