"""A proposal as YAML for people: a reason above every entry, and what to look at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from idefn_tf._files import write_text
from idefn_tf.schema import strict_yaml
from pipelines.schema_inference.proposal import Proposal
from pipelines.schema_inference.proposed_history import proposed_history


def as_yaml(proposal: Proposal, source: str) -> str:
    """Returns the schema's text.

    Args:
        proposal: the proposal.
        source: what it was made from, as the user called it.
    """
    return "\n".join(_lines(proposal, source)) + "\n"


def write(proposal: Proposal, source: str, path: Path) -> None:
    """Writes the schema, whole or not at all."""
    write_text(path, as_yaml(proposal, source))


def _lines(proposal: Proposal, source: str) -> Iterator[str]:
    yield f"# Proposed from {proposal.rows:,} rows of {source}."
    yield "# Every guess gives its reason: read them, correct what is wrong, train."
    for warning in proposal.warnings:
        yield f"# LOOK: {warning}"
    yield f"name: {_flow(proposal.name)}"
    if proposal.user_key:
        yield f"user_key: {proposal.user_key}"
    yield "labels:"
    for key, value in proposal.labels.items():
        yield f"  {key}: {_flow(value)}"
    never = [guess for guess in proposal.guesses if guess.never]
    yield "# known only after the exposure, or of no use to a model"
    if not never:
        yield "never_features: []"
    else:
        yield "never_features:"
        for guess in never:
            yield f"  # {_one_line(guess.warning or guess.why)}"
            yield f"  - {_flow(guess.column)}"
    for guess in proposal.guesses:
        if guess.role == "left out" and not guess.never:
            yield f"# left out: {guess.column}: {_one_line(guess.why)}"
    yield "features:"
    for guess in proposal.guesses:
        if guess.entry is None:
            continue
        if guess.warning:
            yield f"  # LOOK: {_one_line(guess.warning)}"
        yield f"  # {_one_line(guess.why)}"
        yield f"  - {_flow(guess.entry)}"
    yield from _past(proposal)


def _past(proposal: Proposal) -> Iterator[str]:
    """Writes what history could be, as a comment: it makes preparation longer, and is a choice."""
    found = proposed_history(proposal)
    if not found:
        return
    yield "# What user and item did before each row, often worth more than a method. Uncomment it;"
    yield "# the first days then feed history and are not trained on (docs/history.md)."
    yield "# history:"
    yield f"#   burn_in_days: {found['history']['burn_in_days']}"
    yield "#   aggregates:"
    for aggregate in found["history"]["aggregates"]:
        yield f"#     - {_flow(aggregate)}"
    yield "# sequences:"
    for sequence in found["sequences"]:
        yield f"#   - {_flow(sequence)}"


def _flow(value: Any) -> str:
    """Writes a value on one line."""
    text = strict_yaml.dump(value, default_flow_style=True, width=10**9)
    return text.removesuffix("\n").removesuffix("\n...")


def _one_line(text: str) -> str:
    return " ".join(text.split())
