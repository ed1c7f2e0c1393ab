"""One trained model and one published version for all tests of the export."""

import pytest


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
def past_model(past):
    """A trained model that takes history."""
    return past.train()
