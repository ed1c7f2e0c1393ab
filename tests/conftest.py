"""Settings that every test shares: quiet TensorFlow, two threads, fixed seeds."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("IDEFN_TF_JIT", "0")  # tests of what XLA compiles are marked `xla`

import gc
import importlib.util
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pipelines.preparation.prepared_folder import Prepared


def pytest_configure(config: pytest.Config) -> None:
    """Two workers of the quick lane fill two cores with one thread each."""
    if config.getoption("quick"):
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
        os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Spares every later collection of garbage what the imports brought: most of the objects."""
    if hasattr(session.config, "workerinput"):
        _dearest_first(session.items)
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    gc.unfreeze()


@pytest.fixture(autouse=True, scope="session")
def _graphs_as_traced(request: pytest.FixtureRequest) -> None:
    """Leaves Grappler out of the quick lane: most of its graphs run a few times only.

    The whole suite runs what users run.
    """
    if request.config.getoption("quick"):
        import tensorflow as tf

        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


@pytest.fixture(autouse=True, scope="session")
def _from_the_root() -> Iterator[None]:
    """Tests and the processes that they start run in the project's root, wherever pytest began."""
    began = Path.cwd()
    os.chdir(Path(__file__).parents[1])
    yield
    os.chdir(began)


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    import keras

    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def _xla(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiles by XLA, as users' models are, in tests that are marked `xla`."""
    if request.node.get_closest_marker("xla"):
        monkeypatch.setenv("IDEFN_TF_JIT", "1")


@pytest.fixture(scope="session")
def warm_processes() -> Iterator[Any]:
    """Starts processes that have TensorFlow imported already: Popen and run as in subprocess."""
    spec = importlib.util.spec_from_file_location(
        "warm_processes", Path(__file__).parent / "warm_processes.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.WarmProcesses() as starter:
        yield starter


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    """The module tiny_run: a small table, its schema, a trained model."""
    from tests.idefn_tf.export import tiny_run

    return tiny_run


@pytest.fixture(scope="session")
def past() -> ModuleType:
    """The module past_run: a small table with history and a sequence, a trained model."""
    from tests.idefn_tf.export import past_run

    return past_run


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> "Callable[..., Prepared]":
    """Makes a small simulated log in a folder: raw/ as the simulator writes it, data/ prepared.

    One size is made once and copied from then on, so a test may change what it gets.
    """
    from pipelines.datasets.registry import prepare
    from pipelines.datasets.simulated_funnel import simulated_funnel
    from pipelines.datasets.simulated_funnel.funnel_world import Options
    from pipelines.preparation.prepared_folder import Prepared

    made: dict[int, Path] = {}

    def make(folder: Path, exposures: int) -> "Prepared":
        if exposures not in made:
            first = tmp_path_factory.mktemp("simulated")
            options = Options(exposures=exposures, preset="easy", seed=1)
            simulated_funnel.simulate(first / "raw", options)
            prepare("simulated_funnel", first / "raw", first / "data")
            made[exposures] = first
        shutil.copytree(made[exposures], folder, dirs_exist_ok=True)
        return Prepared.open(folder / "data")

    return make


@pytest.fixture(scope="session")
def s3_server() -> Iterator[tuple[dict[str, str], Any]]:
    """A real S3-compatible server: the variables that lead to it, and a client of it."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    variables = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    client = boto3.client(
        "s3",
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        aws_access_key_id="none",
        aws_secret_access_key="none",
        region_name="us-east-1",
    )
    yield variables, client
    server.stop()


#: Fixtures that start processes of their own, which import TensorFlow.
_PROCESS_FIXTURES = {
    "conformance_server",
    "embedded",
    "on_two_devices",
    "start_server",
    "warm_processes",
}
#: What the quick lane leaves to the whole suite.
_NOT_QUICK = {"slow", "spark", "onnx", "browser", "process", "job", "xla"}
#: At most so many generated cases a test has there.
_QUICK_EXAMPLES = 4


#: What another TensorFlow may answer otherwise: save and load, fit, export, data, server.
_VERSIONS = (
    "idefn_tf/data",
    "idefn_tf/export",
    "idefn_tf/features",
    "idefn_tf/models",
    "idefn_tf/optimizers",
    "pipelines/test_export.py",
    "pipelines/test_train.py",
    "serving/server/codec",
    "serving/server/rest/test_conformance.py",
    "serving/server/runtime",
    "serving/test_client.py",
)


#: Folders whose files share what a session fixture trains: one worker each, which trains it once.
_TOGETHER = ("tests/idefn_tf/export", "tests/pipelines/reports")
#: About how many seconds a test takes, by its dearest mark.
_SECONDS = {"slow": 15.0, "xla": 0.6, "job": 0.6}


def _group(nodeid: str) -> str:
    """The file, or the folder, whose tests one worker runs."""
    file = nodeid.split("::")[0]
    folder = file.rpartition("/")[0]
    return folder if folder in _TOGETHER else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With --dist loadfile: one file to one worker, and one such folder to one worker."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False  # by number of tests; `_dearest_first` knows better

    class ByFileOrFolder(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _group(nodeid)

    return ByFileOrFolder(config, log)


def _dearest_first(items: list[pytest.Item]) -> None:
    """Sorts what workers share: a file of minutes that starts last would run alone."""
    seconds: dict[str, float] = {}
    for item in items:
        marks = (_SECONDS.get(mark.name, 0.0) for mark in item.iter_markers())
        group = _group(item.nodeid)
        seconds[group] = seconds.get(group, 0.0) + max(marks, default=0.0) + 0.1
    items.sort(key=lambda item: -seconds[_group(item.nodeid)])


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quick",
        action="store_true",
        help="one case of every parameter set, one training; no XLA, no process with TensorFlow",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        place = item.path.relative_to(Path(__file__).parent).as_posix()
        if place.startswith(_VERSIONS):
            item.add_marker(pytest.mark.versions)
        if _PROCESS_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.process)
    if config.getoption("quick"):
        _keep_quick(config, items)


def _keep_quick(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselects what the quick lane leaves to the whole suite."""
    kept, left, seen = [], [], set()
    for item in items:
        test = (item.path, getattr(item, "originalname", None) or item.name, str(item.parent))
        marks = {mark.name for mark in item.iter_markers()}
        if marks & _NOT_QUICK or test in seen:
            left.append(item)
        else:
            seen.add(test)
            kept.append(item)
            _fewer_examples(getattr(item, "function", None))
    items[:] = kept
    config.hook.pytest_deselected(items=left)


def _fewer_examples(test: Any) -> None:
    """Generated cases of the quick lane; a profile would yield to what a test asks for itself."""
    asked = getattr(test, "_hypothesis_internal_use_settings", None)
    if asked is not None:
        from hypothesis import settings

        fewer = settings(asked, max_examples=min(asked.max_examples, _QUICK_EXAMPLES))
        test._hypothesis_internal_use_settings = fewer
