"""What the tests of the command line share: a made-up corpus, a run of it, and how a command is given."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import jaxresp.tracking
from jaxresp import cli, cli_train
from jaxresp.synthetic import SyntheticConfig, write_corpus

SIX = [f"{task}-{features}" for task in ("binary", "multiclass") for features in ("mfcc", "logmel", "augmented")]
RECORDINGS = 9


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    status: int
    out: str
    err: str

    def refused(self, pattern: str) -> None:
        """A user's mistake: status 2, one message of no code, nothing that looks like an answer."""
        assert self.status == 2, self
        assert "Traceback" not in self.err and 'File "' not in self.err
        assert re.search(pattern, self.err, re.DOTALL), self.err


def call(*words: str | Path) -> Said:
    """A command in this process, through the entry point that users call."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as left:
        cli.main([str(word) for word in words])
    return Said(int(left.value.code or 0), out.getvalue(), err.getvalue())


@pytest.fixture(scope="package", autouse=True)
def _small_and_apart(tmp_path_factory, no_tracker):
    """Networks of two filters, and no test near the user's caches or stores."""
    real_config = cli_train.config_of
    home = tmp_path_factory.mktemp("home")

    def config(**options):
        options.pop("filters", None), options.pop("dense", None)
        return replace(real_config(**options), filters=2, dense=4, variants=1, common_band=False)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli_train, "config_of", config)
        patch.setattr(jaxresp.tracking, "Tracker", no_tracker)
        patch.setattr("jaxresp.compilation.use_persistent_cache", lambda: home)
        yield


def made_up(folder: Path, *, patients_per_group: int = 3, first: int = 1, seed: int = 0) -> Path:
    """A made-up corpus whose patients are numbered from `first`01."""
    config = SyntheticConfig(patients_per_group, (1, 1), (5.0, 6.0), seed=seed)
    write_corpus(folder, config)
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        if path.suffix == ".txt":
            path.write_text(re.sub(r"(?m)^1(?=\d\d\b|\d\d_)", str(first), path.read_text()))
        if re.match(r"1\d\d_", path.name):
            path.rename(path.with_name(f"{first}{path.name[1:]}"))
    return folder


@pytest.fixture(scope="package")
def source(tmp_path_factory) -> Path:
    return made_up(tmp_path_factory.mktemp("source") / "icbhi")


@pytest.fixture
def spoilt(source, tmp_path) -> Path:
    """A copy to spoil."""
    return shutil.copytree(source, tmp_path / "spoilt")


@pytest.fixture(scope="package")
def prepared(source, tmp_path_factory) -> Path:
    said = call("prepare", source, "--data", tmp_path_factory.mktemp("data"), "--partial")
    assert said.status == 0, said
    return Path(said.out.splitlines()[-1])


@pytest.fixture(scope="package")
def strangers(tmp_path_factory) -> Path:
    """A prepared dataset of other patients."""
    folder = tmp_path_factory.mktemp("strangers")
    said = call("prepare", made_up(folder / "icbhi", patients_per_group=2, first=2), "--data", folder, "--partial")
    return Path(said.out.splitlines()[-1])


@dataclass(frozen=True)
class Finished:
    work: Path
    said: Said

    def classifier(self, name: str = "binary-mfcc") -> Path:
        return self.work / "classifiers" / name


@pytest.fixture(scope="package")
def finished(source, tmp_path_factory) -> Finished:
    """`jaxresp run`, all six models."""
    work = tmp_path_factory.mktemp("finished") / "work"
    said = call("run", source, "--work", work, "--partial", "--trials", "1", "--epochs", "1")
    assert said.status == 0, said
    return Finished(work, said)


@pytest.fixture
def wav(source) -> Path:
    return sorted(source.rglob("*.wav"))[0]
