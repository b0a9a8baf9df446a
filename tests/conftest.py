"""What every test shares. Settings come first: they must stand before jax, bentoml or mlflow is imported."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

# Some machines forbid Python to keep what it compiled. The libraries here are ten thousand modules, which every process
# that a test starts would compile again: more time than most tests take.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# What is begun in the background of a shell ignores Ctrl-C, and so would every process that a test starts and stops.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Processes that tests start inherit all of these.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["BENTOML_DO_NOT_TRACK"] = "True"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MPLBACKEND"] = "Agg"

_TESTS = Path(__file__).resolve().parent

# No test reads or writes the user's model store, runs or caches.
_HOME = Path(tempfile.mkdtemp(prefix="jaxresp-tests-"))
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
os.environ["BENTOML_HOME"] = str(_HOME / "bentoml")
os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{_HOME / 'mlflow.db'}"
os.environ["MPLCONFIGDIR"] = str(_HOME / "matplotlib")
# What was compiled once is not compiled again: by the next test, and by the processes that tests start. Tests that run
# side by side in two processes have a cache each, since JAX may read an entry that another process is still writing.
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(_HOME / "xla")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

# Shapes and dtypes in jaxresp's annotations are checked at every call in this process. This must precede the first
# import of jaxresp; a process that a test starts runs without it, as users do.
from jaxtyping import install_import_hook  # noqa: E402

install_import_hook("jaxresp", "beartype.beartype")

import hypothesis  # noqa: E402
import jax  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
import soundfile  # noqa: E402

from jaxresp.audio import read_audio  # noqa: E402
from jaxresp.corpus import Corpus, load, prepare  # noqa: E402
from jaxresp.synthetic import SyntheticConfig, write_corpus  # noqa: E402

# No test asserts how long anything takes, hypothesis' own 200 ms included.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def _folder_named_by(variable: str, layout: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set: it names a folder of real recordings ({layout} layout, with icbhi/ in it)")
    folder = Path(value)
    if not (folder / "icbhi").is_dir():
        pytest.fail(f"{variable}={value} holds no folder icbhi/; name the folder that holds it, or unset the variable")
    return folder


@pytest.hookimpl(optionalhook=True)  # pytest-xdist's
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Side by side, the files of these folders stay in one process: they share what takes long to make."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFolderOrFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            folder = file.rpartition("/")[0]
            return folder if folder in ("tests/cli", "tests/run", "tests/service") else file

    return ByFolderOrFile(config, log)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """A folder with real recordings in icbhi/ (official layout), and perhaps in kauh/ and sprsound/."""
    return _folder_named_by("JAXRESP_REAL_DATA", "official")


@pytest.fixture(scope="session")
def real_data_kaggle() -> Path:
    """The same with icbhi/ in the Kaggle layout."""
    return _folder_named_by("JAXRESP_REAL_DATA_KAGGLE", "kaggle")


@pytest.fixture(scope="session")
def real_windows(real_data: Path) -> dict[int, np.ndarray]:
    """Native rate in Hz → the first five seconds, at 16 kHz, of one real recording made at it."""
    heard: dict[int, np.ndarray] = {}
    for path in sorted((real_data / "icbhi").rglob("*.wav")):
        if (rate_hz := soundfile.info(path).samplerate) not in heard:
            heard[rate_hz] = read_audio(path, rate_hz=16_000).waveform[: 5 * 16_000]
    assert sorted(heard) == [4_000, 10_000, 44_100]
    return heard


# Pure functions of our own. Flax's layers, Optax's losses and jax.random pass strict promotion too; Optax's adam does
# not (it divides by an int32 step count), so tests that take an optimiser's step are left out.
_STRICT = ("dsp/", "models/", "test_frontend")


@pytest.fixture(autouse=True)
def _strict_promotion(request: pytest.FixtureRequest) -> Iterator[None]:
    """In the tests named above, mixing dtypes without saying so is an error; `mixed_dtypes` exempts one."""
    inside = request.path.relative_to(_TESTS).as_posix().startswith(_STRICT)
    if inside and request.node.get_closest_marker("mixed_dtypes") is None:
        with jax.numpy_dtype_promotion("strict"):
            yield
    else:
        yield


@pytest.fixture(scope="session")
def easy_corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A made-up corpus at its easy setting, through the real builder: 24 patients, 48 recordings of 10 to 12 s."""
    folder = tmp_path_factory.mktemp("easy")
    config = SyntheticConfig(patients_per_group=8, recordings_per_patient=(2, 2), duration_s=(10.0, 12.0), seed=7)
    source = write_corpus(folder / "icbhi", config)
    return load(prepare(source, folder / "data", partial=True))


class _NoTracker:
    """Stands where MLflow would: its part is half of what a very small run takes."""

    def __init__(self, *_: object):
        pass

    def start_study(self, *_: object) -> str:
        return "untracked"

    def log_trial(self, *_: object, **__: object) -> None:
        pass

    finish_study = fail_study = close = log_trial


@pytest.fixture(scope="session")
def no_tracker() -> type:
    """For `jaxresp.tracking.Tracker`, in tests that are not about it; what it does is in tests/test_tracking.py."""
    return _NoTracker


_VOID = {"meta", "link", "br", "hr", "img", "input"}


class TakenApart(HTMLParser):
    """A page taken apart: its elements, its tables by caption, whether its tags match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self._caption, self._row = "", []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in _VOID:
            self.open.append(tag)
        if tag == "caption":
            self._caption = ""
        if tag == "tr":
            self._row = []
        if tag in ("td", "th"):
            self._row.append("")

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()
        if tag == "caption":
            self.tables[self._caption] = []
        if tag == "tr":
            self.tables[self._caption].append(self._row)

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))
        if "caption" in self.open:
            self._caption += data
        if self.open and self.open[-1] in ("td", "th"):
            self._row[-1] += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="session")
def take_apart() -> type[TakenApart]:
    """HTML → its elements and tables; fails where tags do not match."""
    return TakenApart
