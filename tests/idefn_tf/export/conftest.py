"""One trained model and one published version for all tests of the export."""

from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    """The module tiny_run."""
    from tests.idefn_tf.export import tiny_run

    return tiny_run


@pytest.fixture(scope="session")
def model(tiny):
    """A trained model."""
    return tiny.train()


@pytest.fixture(scope="session")
def version(tiny, model, tmp_path_factory):
    """A published version of it, with an approval; tests must not change it."""
    from idefn_tf.export import export_model

    base = tmp_path_factory.mktemp("models") / "cvr"
    return export_model(
        model, tiny.SCHEMA, base, replay=tiny.make_frame(), approve=lambda folder: {"ok": 1}
    )


@pytest.fixture(scope="session")
def past() -> ModuleType:
    """The module past_run: a small table with history and a sequence."""
    from tests.idefn_tf.export import past_run

    return past_run


@pytest.fixture(scope="session")
def past_model(past):
    """A trained model that takes history."""
    return past.train()
