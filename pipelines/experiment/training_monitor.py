"""Watch: warnings in plain words while a run trains, and the audit of its pseudo-labels."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import keras
import numpy as np

from idefn_tf._files import atomic_path
from idefn_tf.callbacks import read_history
from idefn_tf.data import to_arrays
from idefn_tf.evaluation.pseudo_label_audit import PseudoLabelAudit, Relabeller, audit_labels
from idefn_tf.models import AllNegative, IdeFN, explain_regime
from pipelines.cli.console import Console
from pipelines.experiment.config import Config
from pipelines.experiment.evaluation import report_columns
from pipelines.experiment.run_folder import Run
from pipelines.preparation.prepared_folder import Prepared

#: A predicted mean CVR below this on unclicked rows is called a collapse.
COLLAPSE = 1e-6
#: An AUC above this is called a leak.
LEAK = 0.999
#: At most this many training rows are audited after an epoch.
AUDIT_ROWS = 500_000


class Watch(keras.callbacks.Callback):
    """Looks at an epoch's numbers, says what is probably wrong, and audits pseudo-labels.

    The audit goes to audit.csv and, as ``audit/...``, to the history. It reads recorded
    conversions of unclicked rows, so it stands after training in time and in data flow: nothing
    of it reaches the model or the selection.
    """

    def __init__(
        self, data: Prepared, config: Config, run: Run, console: Console, first_epoch: int = 0
    ) -> None:
        super().__init__()
        self.data, self.config, self.run, self.console = data, config, run, console
        self._rows: tuple[dict[str, np.ndarray], np.ndarray] | None = None
        self._relabel: Relabeller | None = None
        self._warned = False
        self._previous: np.ndarray | None = None
        before = self._relabelled_path(first_epoch - 1)
        if before.is_file():  # a resumed run compares with the epoch before its end
            self._previous = np.load(before)

    def _relabelled_path(self, epoch: int) -> Path:
        return self.run.checkpoints / f"relabelled-{epoch:04d}.npy"

    def on_train_begin(self, logs: Any = None) -> None:
        """Warns where the setting cannot relabel anything, before an hour is spent on it."""
        if isinstance(self.model, IdeFN) and not self._warned:
            self._warned = True
            if self.model.rpot.rejection_price is not None:
                return  # prices, not kappa, say how much is matched
            card, size = self.data.card["splits"]["train"], self.config.training.batch_size
            warning = explain_regime(
                self.model.rpot.kappa,
                positives=size * card["ctcvr"] + self.model.rpot.memory,
                unclicked=size * (1 - card["ctr"]),
                marginals=self.model.rpot.marginals,
                rule=self.model.rpot.rule,
            )
            if warning:
                self.console.warn(warning)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Warns of collapse, leaks and silent relabelling; audits."""
        logs = logs if logs is not None else {}
        if float(logs.get("mean_cvr_unclicked", 1.0)) < COLLAPSE:
            self.console.warn(
                f"the mean CVR of unclicked rows is {float(logs['mean_cvr_unclicked']):.1e}: the "
                "model calls everything below the click negative"
            )
        for name, value in logs.items():
            if name.startswith("val_") and name.endswith("_auc") and float(value) > LEAK:
                self.console.warn(
                    f"{name} is {float(value):.4f}: is a label among the features? See "
                    "never_features in the schema."
                )
        no_label = float(logs.get("pseudo_positives", 1.0)) == 0.0
        if no_label and not self.model.warming_up:
            self.console.warn(
                f"epoch {epoch + 1}: no unclicked row was relabelled, so the model trained as "
                "AllNegative does"
            )
        if float(logs.get("transport_converged", 1.0)) < 0.5:
            self.console.warn(
                f"epoch {epoch + 1}: the transport converged in only "
                f"{float(logs['transport_converged']):.0%} of the batches (worst marginal error "
                f"{float(logs['transport_marginal_error']):.1e})"
            )
        if self.config.training.audit and relabels(self.model):
            found = self._audit()
            self._keep_previous(epoch)
            logs.update({f"audit/{k}": v for k, v in found.as_dict().items()})
            _append(self.run, epoch, found)
            self.console.step(
                f"audit: {found.relabelled:,} of {found.unclicked:,} unclicked rows relabelled, "
                + in_words(found)
            )

    def _audit(self) -> PseudoLabelAudit:
        if self._rows is None:
            table = self.data.table("train").slice(0, AUDIT_ROWS)
            report = report_columns(self.data, "train")
            truth = report.get("oracle_conversion", report["conversion_raw"])
            self._rows = to_arrays(self.data.schema, table), truth[:AUDIT_ROWS]
        arrays, truth = self._rows
        settings = self.config.training
        if self._relabel is None:
            self._relabel = Relabeller(self.model)
        relabelled, cvr = self._relabel(arrays, settings.batch_size, settings.seed)
        found = audit_labels(relabelled, arrays["click"], truth, cvr, self._previous)
        self._previous = (arrays["click"] == 0) & relabelled
        return found

    def _keep_previous(self, epoch: int) -> None:
        """Saves which rows are relabelled, for a resumed run; the epoch before may still be needed.

        (A run killed before this epoch's checkpoint is whole goes on from the former one.)
        """
        path = self._relabelled_path(epoch)
        with atomic_path(path) as sibling:
            np.save(sibling, np.asarray(self._previous))
        for old in self.run.checkpoints.glob("relabelled-*.npy"):
            if old.name not in (path.name, self._relabelled_path(epoch - 1).name):
                old.unlink()


def in_words(found: PseudoLabelAudit) -> str:
    """Says how many labels are right, or that nothing tells."""
    if not found.measurable:
        return "precision not measurable: no unclicked row has a recorded conversion"
    if not found.relabelled:
        return "so there is no label to measure"
    return (
        f"{found.true} of them recorded conversions: precision {found.precision:.4f}, lift "
        f"{found.lift:.1f} ({found.lift_low:.1f} to {found.lift_high:.1f})"
    )


def relabels(model: Any) -> bool:
    """Whether a model's pseudo-labels are more than zeros."""
    return isinstance(model, AllNegative) and type(model) is not AllNegative


def _append(run: Run, epoch: int, found: PseudoLabelAudit) -> None:
    """Writes audit.csv anew with one more epoch."""
    path = run.root / "audit.csv"
    rows: list[dict[str, Any]] = []
    if path.is_file():
        rows = [row for row in read_history(path) if int(row["epoch"]) <= epoch]
    rows.append({"epoch": epoch + 1, **found.as_dict()})
    with atomic_path(path) as sibling, sibling.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[-1]))
        writer.writeheader()
        writer.writerows(rows)
