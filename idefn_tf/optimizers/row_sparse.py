"""RowSparse: the part of an optimizer that updates the touched rows of tables alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import tensorflow as tf

from idefn_tf._keras_private import SumsOverReplicas, built_variables, variable_index
from idefn_tf.optimizers import row_programs as programs
from idefn_tf.optimizers.row_access import RowGradient, RowsRead, sum_duplicates, sum_events
from idefn_tf.optimizers.row_programs import Rows, Update
from idefn_tf.optimizers.row_rules import Rule
from idefn_tf.optimizers.row_state import add_row_state, excluded, named_blocks, translated
from idefn_tf.tables import Distinct, distinct, is_table

#: Rows that `catch_up` brings up to date at a time.
_CHUNK = 131_072
#: RowSparse is mixed in front of a Keras optimizer, whose methods it extends; typed as anything.
_Keras: Any = SumsOverReplicas


class RowSparse(_Keras):
    """Mixed in front of a Keras optimizer: tables by rows, all else as Keras does it.

    A table is a variable that `mark_table` marked (`FeatureColumns` marks its own). Its rows may
    wait: a row that batches do not touch is brought up to date when it is next read through
    `read_rows`, or with all others by `catch_up`, as every dense step would have moved it. Whoever
    reads a table otherwise must `catch_up` first; `EntireSpaceModel` does so before it evaluates,
    predicts or saves, after every epoch, and at the end of `fit`.

    Example:
        >>> import keras
        >>> from idefn_tf.optimizers import RowSparse, RowSparseAdam
        >>> order = RowSparseAdam.__mro__
        >>> order.index(RowSparse), order.index(RowSparse) < order.index(keras.optimizers.Optimizer)
        (1, True)
    """

    #: Whether the arithmetic on rows is compiled by XLA.
    jit_rows: bool = True
    block_names: tuple[str, ...] = ()
    rows_wait: bool = False  # whether models leave rows behind, too (`waiting_rows`)

    def rule(self) -> Rule:
        """Returns the arithmetic, made of this optimizer's settings."""
        raise NotImplementedError

    # -- variables ----------------------------------------------------------------------------

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Creates the state: Keras' own for dense variables, one matrix for each table."""
        if self.built:
            return
        self._strategy = tf.distribute.get_strategy()
        self._row_state: dict[int, keras.Variable] = {}
        self._tables: dict[int, keras.Variable] = {}
        self._pending: dict[int, Update] = {}  # filled while Keras' apply runs
        self._programs: dict[Any, Any] = {}
        self.log_decay: keras.Variable | None = None
        self._caught_up_at: int | None = None
        self._exempt = self._exclude_tables_from_decay(variables)
        super().build(variables)
        rule = self.rule()
        for i, variable in enumerate(variables):
            if not is_table(variable):
                continue
            first = rule.initial(int(variable.shape[-1]))
            with self._strategy.extended.colocate_vars_with(variable.value):
                self._row_state[i] = add_row_state(self, variable, first)
            self._tables[i] = variable
        if rule.weight_decay:  # float64: millions of small steps add up
            self.log_decay = self.add_variable(
                (), "zeros", "float64", aggregation="only_first_replica", name="log_decay"
            )

    def exclude_from_weight_decay(self, var_list: Any = None, var_names: Any = None) -> None:
        """As in Keras; tables may be named too."""
        self._excluded = (list(var_list or ()), list(var_names or ()))
        super().exclude_from_weight_decay(var_list, var_names)

    def _exclude_tables_from_decay(self, variables: Sequence[keras.Variable]) -> set[int]:
        """Takes tables out of Keras' decay of whole variables; theirs is in the rule.

        Returns:
            The indices of those that the user had excluded.
        """
        chosen, names = getattr(self, "_excluded", ([], []))
        tables = [v for v in variables if is_table(v)]
        super().exclude_from_weight_decay([*chosen, *tables], names)
        return excluded(variables, chosen, names)

    def _rule_of(self, index: int) -> Rule:
        rule = self.rule()
        return replace(rule, weight_decay=0.0) if index in self._exempt else rule

    def add_optimizer_variables(self, variables: Any, name: Any, initializer: Any = "zeros") -> Any:
        """Creates Keras' state for the dense variables; tables get None, theirs is in `build`."""
        dense = [v for v in variables if not is_table(v)]
        made = super().add_optimizer_variables(dense, name, initializer)
        lists = [made] if isinstance(name, str) else made
        filled = []
        for created in lists:
            one = iter(created)
            filled.append([None if is_table(v) else next(one) for v in variables])
        return filled[0] if isinstance(name, str) else tuple(filled)

    # -- reading ------------------------------------------------------------------------------

    def read_rows(
        self, table: keras.Variable, rows: tf.Tensor | Distinct, padding_row: int | None = None
    ) -> RowsRead:
        """Reads rows of a table as they stand now; `apply_rows` writes them back.

        Args:
            table: a marked variable that the optimizer was built with; one that is not trainable
                is read as it is.
            rows: int32, any shape, repeats allowed; or what `distinct` found among them.
            padding_row: a row that counts as zero wherever it is asked for and gets no gradient.
        """
        found = rows if isinstance(rows, Distinct) else distinct(rows)
        values = tf.gather(table.value, found.rows)
        if not table.trainable:
            return RowsRead(found, values, tuple(table.shape), padding_row=padding_row)
        index = variable_index(self, table.value)
        state = tf.gather(self._row_state[index].value, found.rows)
        clock = self._clock(values.dtype)
        program = programs.up_to_date(self._rule_of(index), padding_row, self.jit_rows)
        with tf.name_scope("up_to_date"):  # what a profile calls it
            values, state, places = program(found.rows, values, state, found.position, *clock)
        return RowsRead(found, values, tuple(table.shape), state, padding_row, places)

    def _read_plainly(self, index: int, table: Any, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Reads rows and their state, up to date, and puts them nowhere.

        What replicas asked for differs in number at every step: a program that puts rows in their
        places would be compiled at every step.
        """
        read = tf.gather(table, rows), tf.gather(self._row_state[index].value, rows)
        now = programs.compiled(self._rule_of(index), "now", self.jit_rows)
        return read if self.rule().lazy else now(*read, *self._clock(read[0].dtype))

    def _clock(self, dtype: Any, after: bool = False) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns the step, its learning rate, and the log decay before it or `after` it."""
        rate, decay = tf.cast(self.learning_rate, dtype), tf.zeros([], "float64")
        if self.log_decay is not None:
            decay = self._log_decay_after() if after else self.log_decay.value
        return tf.cast(self.iterations.value, dtype), rate, tf.cast(decay, dtype)

    def _log_decay_after(self) -> tf.Tensor:
        rate = tf.cast(self.learning_rate, "float64")
        return self.log_decay.value + self.rule().log_decay(rate)  # type: ignore[union-attr]

    # -- writing ------------------------------------------------------------------------------

    def apply_rows(
        self,
        dense_pairs: Sequence[tuple[tf.Tensor, keras.Variable]],
        row_gradients: Sequence[RowGradient],
    ) -> None:
        """Takes one step: dense variables as Keras does, tables by the rows that were read.

        Keras clips and unscales the merged rows as a plain tensor: norms are those of the dense
        gradient. In a compiled step XLA makes one program of merging, and one of clipping, Keras'
        update of the dense variables and the rows' arithmetic.

        Args:
            dense_pairs: gradients and variables that are no tables.
            row_gradients: one a table, of rows read in this very step.
        """
        dense = [gradient for gradient, _ in dense_pairs]
        variables = [v for _, v in dense_pairs] + [row.table for row in row_gradients]
        if not self.built:
            self.build(variables)
        tables = [variable_index(self, row.table) for row in row_gradients]
        rows_read = [row.rows_read for row in row_gradients]
        if self.jit_rows and programs.replica_count() == 1 and tf.inside_function():
            with tf.name_scope("update"):  # what a profile calls it
                rows = [Rows.of(row) for row in row_gradients]
                updated = self._program(variables, tables)(dense, rows)
            for index, read, (values, state) in zip(tables, rows_read, updated, strict=True):
                self._write(index, read.found, values, state)
            return
        merged, pending = [], {}
        for index, row in zip(tables, row_gradients, strict=True):
            if programs.replica_count() > 1:
                slices = row.rows_read.sum_duplicates(row.values, row.events)
                gradient, pending[index] = self._merged(slices)
            else:
                found, padding = row.rows_read.found, row.rows_read.padding_row
                more = sum_events(found, row.events)
                gradient = sum_duplicates(row.values, found.rows, found.position, padding, more)
                pending[index] = Update(found, row.rows_read.values, row.rows_read.state)
            merged.append(gradient)
        self._apply([*dense, *merged], variables, pending)

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """``keras.optimizers.Optimizer.apply``; an ``IndexedSlices`` of a table costs its rows.

        For training loops of one's own. The rows are read once more, and no one program does it
        all: `apply_rows` is faster.
        """
        variables = list(trainable_variables or built_variables(self))
        if not self.built:
            self.build(variables)
        plain, pending = [], {}
        for gradient, variable in zip(grads, variables, strict=True):
            index = variable_index(self, variable)
            if isinstance(gradient, tf.IndexedSlices) and index in self._tables:
                gradient, pending[index] = self._merged(gradient)
            elif isinstance(gradient, tf.IndexedSlices):
                gradient = tf.convert_to_tensor(gradient)
            plain.append(gradient)
        self._apply(plain, variables, pending)

    def _merged(self, gradient: tf.IndexedSlices) -> tuple[tf.Tensor, Update]:
        """Sums the gradients of repeated rows, of all replicas: each updates every such row."""
        rows, values = programs.gather_row_gradients(gradient)
        found = distinct(tf.cast(rows, tf.int32))
        summed = sum_duplicates(values, found.rows, found.position, None)
        return summed, Update(found)  # read where the update runs, on the replica's own copy

    def _apply(self, grads: list[Any], variables: list[Any], pending: dict[int, Update]) -> None:
        """Calls Keras' ``apply``, which calls `update_step` for every variable."""
        self._pending = pending
        after = None if self.log_decay is None else self._log_decay_after()
        try:
            super().apply(grads, variables)
        finally:
            self._pending = {}
        if self.log_decay is not None:
            self.log_decay.assign(after)

    def _program(self, variables: list[Any], tables: list[int]) -> Any:
        """Returns the program (dense gradients, rows) -> [(values, state) of every table].

        It updates the dense variables itself. Rows come and go as tensors: XLA would copy a table
        to write to it.
        """
        key = tuple(variable_index(self, variable) for variable in variables)
        if key not in self._programs:

            def program(dense: list[Any], rows: list[Rows]) -> Any:
                updates = [Update(None, row.values, row.state) for row in rows]
                pending = dict(zip(tables, updates, strict=True))
                self._apply([*dense, *(row.gradient for row in rows)], variables, pending)
                return [update.result for update in updates]

            self._programs[key] = tf.function(program, jit_compile=True, autograph=False)
        return self._programs[key]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one variable; a table by the rows that its gradient is of."""
        index = variable_index(self, variable)
        if index not in self._tables:
            super().update_step(gradient, variable, learning_rate)
            return
        table = variable.value if isinstance(variable, keras.Variable) else variable
        step, _, decay = self._clock(table.dtype, after=True)
        rule, clock = self._rule_of(index), (step, tf.cast(learning_rate, table.dtype), decay)
        gradient = tf.cast(gradient, table.dtype)
        update = self._pending.get(index)
        if update is None:  # a dense gradient is of every row
            rows = tf.range(table.shape[0])
            update = Update(Distinct(rows, tf.size(rows), rows))
        if update.found is None:  # a program: the rows are written outside of it
            update.result = rule.advance(update.values, update.state, gradient, *clock)
            return
        values, state = update.values, update.state
        if state is None:
            values, state = self._read_plainly(index, table, update.found.rows)
        advance = programs.compiled(rule, "advance", self.jit_rows)
        values, state = advance(values, state, gradient, *clock)
        self._write(index, update.found, values, state, table)

    def _write(
        self, index: int, found: Distinct, values: Any, state: Any, table: Any = None
    ) -> None:
        """Writes rows and their state back, without the padding."""
        real, count = found.rows[: found.count], found.count
        table = self._tables[index].value if table is None else table
        table.scatter_update(tf.IndexedSlices(values[:count], real))
        self._row_state[index].value.scatter_update(tf.IndexedSlices(state[:count], real))

    def catch_up(self) -> None:
        """Brings every row of every table up to date, some at a time; costs one pass over them."""
        if not getattr(self, "built", False) or self.rule().lazy:
            return
        iterations = int(self.iterations.numpy())
        if self._caught_up_at == iterations:
            return
        for index, table in self._tables.items():
            if not table.trainable:
                continue
            size = int(table.shape[0])
            chunk = min(_CHUNK, size)
            for start in range(0, size, chunk):
                # the last chunk overlaps the one before: rows that are up to date stay so
                rows = tf.range(chunk) + min(start, size - chunk)
                values, state = self._read_plainly(index, table.value, rows)
                table.value.scatter_update(tf.IndexedSlices(values, rows))
                self._row_state[index].value.scatter_update(tf.IndexedSlices(state, rows))
        self._caught_up_at = iterations

    def load_own_variables(self, store: Any) -> None:
        """Reads saved state, of an earlier release too; which rows wait is not known."""
        values = [store[str(i)] for i in range(len(store.keys()))]
        if self.built:
            values = translated(self, self.variables, values)
        super().load_own_variables({str(i): value for i, value in enumerate(values)})
        self._caught_up_at = None

    def state_of(self, table: keras.Variable) -> dict[str, tf.Tensor]:
        """Returns a table's blocks [V, d], and "step" and "learning_rate" [V] of the last touch."""
        index = variable_index(self, table.value)
        state = tf.convert_to_tensor(self._row_state[index].value)
        return named_blocks(state, int(table.shape[-1]), self.block_names)
