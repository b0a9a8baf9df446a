"""The command line: what each command does, and what it says when it cannot."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

import jaxresp
import jaxresp.tracking
from jaxresp import cli, shipped
from jaxresp.corpus import load
from jaxresp.prediction import NOTICE
from jaxresp.sweep import SearchSpace
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


_REAL_TRACKER = jaxresp.tracking.Tracker


class _NoTracker:
    """MLflow's part of these tests is in tests/test_run.py and tests/test_tracking.py."""

    def __init__(self, *_):
        pass

    def start_study(self, *_) -> str:
        return "untracked"

    def log_trial(self, *_) -> None:
        pass

    finish_study = fail_study = log_trial


@pytest.fixture(scope="module", autouse=True)
def _small_and_apart(tmp_path_factory):
    """Networks of two filters, and no test near the user's caches or stores."""
    real_config = cli._config
    home = tmp_path_factory.mktemp("home")

    def config(**options):
        options.pop("filters", None), options.pop("dense", None)
        return replace(real_config(**options), filters=2, dense=4, variants=1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "_config", config)
        patch.setattr(jaxresp.tracking, "Tracker", _NoTracker)
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


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return made_up(tmp_path_factory.mktemp("source") / "icbhi")


@pytest.fixture
def spoilt(source, tmp_path) -> Path:
    """A copy to spoil."""
    return shutil.copytree(source, tmp_path / "spoilt")


@pytest.fixture(scope="module")
def prepared(source, tmp_path_factory) -> Path:
    said = call("prepare", source, "--data", tmp_path_factory.mktemp("data"), "--partial")
    assert said.status == 0, said
    return Path(said.out.splitlines()[-1])


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def finished(source, tmp_path_factory) -> Finished:
    """`jaxresp run`, all six models."""
    work = tmp_path_factory.mktemp("finished") / "work"
    said = call("run", source, "--work", work, "--partial", "--trials", "1", "--epochs", "1")
    assert said.status == 0, said
    return Finished(work, said)


@pytest.fixture
def wav(source) -> Path:
    return sorted(source.rglob("*.wav"))[0]


# What each command does


def test_help_and_version():
    said = call("--help")
    assert said.status == 0
    commands = ("prepare", "run", "train", "sweep", "evaluate", "predict", "export", "serve", "demo")
    for command in commands:
        assert re.search(rf"^  {command} +\S", said.out, re.MULTILINE), said.out
        assert call(command, "--help").status == 0
    assert jaxresp.__version__ in call("--version").out


def test_prepare_says_what_it_built_and_where(prepared):
    assert len(load(prepared)) == RECORDINGS


def test_preparing_again_changes_nothing(source, prepared):
    before = {path: path.stat().st_mtime_ns for path in prepared.iterdir()}
    said = call("prepare", source, "--data", prepared.parents[2], "--partial")
    assert Path(said.out.splitlines()[-1]) == prepared
    assert f"{RECORDINGS} recordings of {RECORDINGS} patients" in said.out and "partial" in said.out
    assert {path: path.stat().st_mtime_ns for path in prepared.iterdir()} == before


def test_prepare_builds_other_configurations_and_tells_what_it_found(spoilt, tmp_path):
    first, second = sorted(spoilt.rglob("*.wav"))[:2]
    shutil.copy(first, second)
    text = second.with_suffix(".txt")
    shutil.copy(first.with_suffix(".txt"), text)
    said = call("prepare", spoilt, "--data", tmp_path, "--partial", "--dataset", "icbhi", "--config", "cycles_16k")
    n_cycles = sum(len(each.read_text().splitlines()) for each in text.parent.glob("*.txt"))
    assert f"+partial: {n_cycles} cycles" in said.out
    assert f"found: the same sound in {first.stem}, {second.stem} of different patients" in said.out
    call("prepare", spoilt, "--data", tmp_path, "--partial", "--config", "cycles").refused(
        r"icbhi has no configuration 'cycles'; choose from recordings_16k, .*cycles_16k"
    )
    call("prepare", spoilt, "--data", tmp_path, "--dataset", "icbh").refused(r"no dataset 'icbh'; choose from icbhi")


def test_run_ends_in_a_table_of_six_models_and_what_must_be_read_with_it(finished):
    out = finished.said.out
    table = out[out.index("Unseen patients, icbhi") :]
    assert [name for name in SIX if re.search(rf"^ *{name} +[01]\.\d{{3}} ", table, re.MULTILINE)] == SIX
    assert "majority" in table
    assert "Normal 3 patients / 3 recordings" in table
    assert "made up" in table and NOTICE.split()[0] in table
    assert finished.said.err == ""
    assert sorted(path.name for path in (finished.work / "classifiers").iterdir()) == sorted(SIX)


def test_progress_in_a_log_file_is_readable_lines(finished):
    """As in `jaxresp run … > log`: one step a line, none overwritten, no escape sequence."""
    assert not re.search(r"[\r\x1b\x08]", finished.said.out)
    steps = [line for line in finished.said.out.splitlines() if re.match(r" *\d+ s ", line)]
    assert all(re.fullmatch(r" *\d+ s +\d+% [\w ]+(-\w+)*: .*", line) for line in steps), steps
    for name in SIX:
        assert any(f"% {name}: trial 1/1: loss " in line for line in steps), steps
    assert steps[-1].endswith("100% all models: finished")


def test_the_same_command_again_trains_nothing_and_shows_the_same_table(source, finished, monkeypatch):
    def fit(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr("jaxresp.sweep.fit", fit)
    said = call("run", source, "--work", finished.work, "--partial", "--trials", "1", "--epochs", "1")
    assert said.status == 0, said
    table = finished.said.out[finished.said.out.index("Unseen patients") :]
    assert said.out.endswith(table)


def test_evaluate_of_a_run_prints_its_table(finished):
    said = call("evaluate", finished.work)
    assert said.status == 0 and said.err == ""
    assert said.out.strip() in finished.said.out


def test_evaluate_on_other_patients(finished, strangers):
    said = call("evaluate", finished.classifier("multiclass-mfcc"), "--data", strangers)
    assert said.status == 0, said
    assert "multiclass-mfcc on 6 recordings of 6 patients" in said.out
    assert re.search(r"^balanced accuracy: \d\.\d{3} \[.*\]$", said.out, re.MULTILINE)
    for name in ("Normal", "Chronic", "Infection"):
        assert f"| {name} |" in said.out


def test_train_makes_one_classifier(prepared, tmp_path):
    said = call(
        "train", prepared, "--work", tmp_path / "w", "--task", "binary", "--features", "mfcc", "--epochs", "1",
        "--learning-rate", "0.01", "--dropout", "0.1", "--balance", "none", "--seed", "3",
    )  # fmt: skip
    assert said.status == 0, said
    assert [path.name for path in (tmp_path / "w" / "classifiers").iterdir()] == ["binary-mfcc"]
    (trial,) = json.loads((tmp_path / "w" / "results.json").read_text())["results"]
    assert trial["settings"]["learning_rate"] == 0.01 and trial["settings"]["dropout"] == 0.1
    told = json.loads((tmp_path / "w" / "run.json").read_text())["config"]
    assert (told["seed"], told["training"]["balance"]) == (3, "none")


@dataclass(frozen=True)
class _OneShape(SearchSpace):
    """Settings that need no other network to be compiled."""

    filters: tuple[int, ...] = (2,)
    dense: tuple[int, int, int] = (4, 4, 1)


def test_sweep_tries_as_many_settings_as_asked(prepared, tmp_path, monkeypatch):
    monkeypatch.setattr("jaxresp.sweep.SearchSpace", _OneShape)
    said = call(
        "sweep", prepared, "--work", tmp_path, "--task", "binary", "--features", "mfcc", "--epochs", "1",
        "--trials", "2", "--folds", "3",
    )  # fmt: skip
    assert said.status == 0, said
    trials = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("models/binary-mfcc/trial-*/trial.json"))]
    assert len(trials) == 2
    assert trials[0]["settings"] != trials[1]["settings"]


def test_predict_as_text(finished, wav):
    said = call("predict", "--model", finished.classifier("multiclass-mfcc"), wav)
    assert said.status == 0, said
    shares = ", ".join(rf"{name} [01]\.\d{{3}}" for name in ("Normal", "Chronic", "Infection"))
    assert re.fullmatch(rf"{re.escape(str(wav))}: (Normal|Chronic|Infection) \({shares}\)\n", said.out)
    assert said.err.strip() == NOTICE


def test_predict_as_json_lines(finished, source):
    wavs = sorted(source.rglob("*.wav"))[:2]
    said = call("predict", "--json", "--model", finished.classifier(), *wavs)
    assert said.status == 0 and said.err == ""
    answers = [json.loads(line) for line in said.out.splitlines()]
    assert [answer["file"] for answer in answers] == [str(path) for path in wavs]
    for answer in answers:
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert answer["label"] in ("Normal", "Abnormal") and answer["windows"] and answer["notice"] == NOTICE
        assert answer["model"]["name"] == "binary-mfcc"


def test_export_puts_six_models_into_the_store(finished):
    said = call("export", finished.work)
    assert said.status == 0, said
    tags = said.out.split()
    assert [tag.partition(":")[0] for tag in tags] == [f"jaxresp-{name}" for name in SIX]
    for tag in tags:
        name, _, version = tag.partition(":")
        assert (Path(os.environ["BENTOML_HOME"]) / "models" / name / version).is_dir()
    assert call("export", finished.work).out.split() == tags


# A folder that cannot be used


def both(spoilt: Path, tmp_path: Path) -> list[Said]:
    """Both commands that take a publisher's folder. Neither may leave anything that looks prepared."""
    said = [
        call("prepare", spoilt, "--data", tmp_path / "data", "--partial"),
        call("run", spoilt, "--work", tmp_path / "work", "--partial"),
    ]
    for folder in (tmp_path / "data", tmp_path / "work"):
        assert [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"] == []
    return said


def test_a_folder_that_is_no_icbhi_folder(tmp_path):
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "song.mp3").write_bytes(b"ID3")
    for said in both(tmp_path / "music", tmp_path):
        said.refused(r"music(: no sound file in it is named as in any dataset| is no ICBHI folder).*[Gg]ive the folder")


def test_a_folder_that_is_not_there(tmp_path):
    for said in both(tmp_path / "nowhere", tmp_path):
        said.refused("nowhere.*does not exist")


def test_a_sound_without_annotation(spoilt, tmp_path):
    text = next(spoilt.rglob("1*_*_*.txt"))
    text.unlink()
    for said in both(spoilt, tmp_path):
        said.refused(rf"1 fault.*{text.stem}\.wav: no annotation {text.name} beside it; restore it")


def test_an_annotation_without_sound(spoilt, tmp_path):
    wav = next(spoilt.rglob("*.wav"))
    wav.unlink()
    for said in both(spoilt, tmp_path):
        said.refused(rf"1 fault.*{wav.stem}\.txt: no sound {wav.name} beside it; restore it")


def test_a_missing_diagnosis_file(spoilt, tmp_path):
    next(spoilt.rglob("ICBHI_Challenge_diagnosis.txt")).unlink()
    for said in both(spoilt, tmp_path):
        said.refused(r"ICBHI_Challenge_diagnosis\.txt: missing; put it.*into the folder")


def test_a_corrupt_recording_in_the_folder(spoilt, tmp_path):
    wav = next(spoilt.rglob("*.wav"))
    wav.write_bytes(b"RIFF then nothing")
    for said in both(spoilt, tmp_path):
        said.refused(rf"{wav.name}: .*; copy the file again")


def test_a_part_of_icbhi_needs_the_flag(source, tmp_path):
    for command in (["prepare", source, "--data", tmp_path / "d"], ["run", source, "--work", tmp_path / "w"]):
        call(*command).refused(r"9 recordings of 9 patients; ICBHI 2017 has 920 of 126.*--partial")


def test_a_class_with_too_few_patients(tmp_path):
    source = made_up(tmp_path / "icbhi", patients_per_group=1)
    said = call("run", source, "--work", tmp_path / "w", "--partial")
    said.refused(r"too few patients for 3 folds: Normal has 1")
    assert not (tmp_path / "w" / "models").exists()


def test_a_folder_that_is_not_prepared(source, tmp_path):
    for command in ("train", "sweep"):
        call(command, source, "--work", tmp_path).refused(
            r"holds no prepared dataset; build one with `jaxresp prepare`"
        )


def test_a_work_folder_of_another_configuration(source, finished):
    said = call("run", source, "--work", finished.work, "--partial", "--trials", "1", "--epochs", "2")
    said.refused(r"belongs to another run \(its config differ.*choose another work folder")


def test_a_work_folder_that_is_a_file(source, tmp_path):
    (tmp_path / "file").touch()
    call("run", source, "--work", tmp_path / "file", "--partial").refused(r"'--work'.*is a file")


# Wrong words


@pytest.mark.parametrize(
    ("words", "pattern"),
    [
        (["train", ".", "--work", "w", "--task", "binry"], r"'--task'.*'binry' is not one of .*'binary'"),
        (["sweep", ".", "--work", "w", "--features", "mfc"], r"'--features'.*'mfc' is not one of .*'mfcc'"),
        (["train", ".", "--work", "w", "--balance", "all"], r"'--balance'.*'all' is not one of .*'smote'"),
        (["run", "."], r"Missing option '--work'"),
        (["run"], r"Missing argument 'SOURCE'"),
        (["predict", "--model", "."], r"Missing argument 'FILES"),
        (["serve", "--port", "seven"], r"'--port'.*'seven' is not a valid integer"),
        (["fit"], r"No such command 'fit'"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_wrong_words_are_named(words, pattern, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call(*words).refused(pattern)


@pytest.mark.parametrize(
    ("option", "pattern"),
    [
        (["--epochs", "0"], r"max_epochs.*at least 1"),
        (["--folds", "1"], r"at least one trial and two folds"),
        (["--seed", "-1"], r"seed.*(0|negative)"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_numbers_out_of_range_are_refused_before_anything_is_done(source, tmp_path, option, pattern):
    call("run", source, "--work", tmp_path / "w", "--partial", *option).refused(pattern)
    assert not (tmp_path / "w").exists()


def test_settings_of_a_training_out_of_range_are_refused(prepared, tmp_path):
    for option, pattern in (
        (["--dropout", "1"], "dropout.*below 1"),
        (["--learning-rate", "0"], "learning_rate.*posit"),
    ):
        call("train", prepared, "--work", tmp_path / "w", *option).refused(pattern)
    assert not (tmp_path / "w").exists()


# Sounds that cannot be classified


@pytest.fixture
def bad_sounds(tmp_path, source) -> dict[str, Path]:
    noise = np.random.default_rng(0).normal(0, 0.1, 8000)
    files = {name: tmp_path / f"{name}.wav" for name in ("empty", "text", "corrupt", "silent", "nan", "short")}
    files["empty"].touch()
    files["text"].write_text("dear diary")
    files["corrupt"].write_bytes(sorted(source.rglob("*.wav"))[0].read_bytes()[:30])
    soundfile.write(files["silent"], np.zeros(8000), 4000)
    soundfile.write(files["nan"], np.where(np.arange(8000) == 5, np.nan, noise), 4000, subtype="FLOAT")
    soundfile.write(files["short"], noise[:100], 4000)
    return files


def test_every_bad_sound_is_named_and_the_others_are_answered(finished, bad_sounds, wav):
    said = call("predict", "--json", "--model", finished.classifier(), *bad_sounds.values(), wav)
    said.refused(r"6 of 7 files could not be classified")
    assert [json.loads(line)["file"] for line in said.out.splitlines()] == [str(wav)]
    lines = said.err.splitlines()
    for file, line in zip(bad_sounds.values(), lines, strict=False):
        assert line.startswith(f"jaxresp: {file}") or file.name in line, lines
    assert len(lines) == 7


def test_a_sound_file_that_is_not_there(finished, tmp_path):
    call("predict", "--model", finished.classifier(), tmp_path / "none.wav").refused(r"none\.wav.*does not exist")


# Classifiers and runs that cannot be used


def test_an_altered_classifier_is_refused(finished, strangers, tmp_path, wav):
    altered = shutil.copytree(finished.classifier(), tmp_path / "binary-mfcc")
    weights = altered / "weights.npz"
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    pattern = r"weights\.npz is not the file that training left.*(restore|train again)"
    for words in (["predict", "--model", altered, wav], ["evaluate", altered, "--data", strangers]):
        said = call(*words)
        said.refused(pattern)
        assert said.out == ""


def test_an_altered_classifier_is_not_exported(finished, tmp_path):
    work = shutil.copytree(finished.work, tmp_path / "work", ignore=shutil.ignore_patterns("data", "models"))
    card = work / "classifiers" / "multiclass-augmented" / "card.md"
    card.write_text(card.read_text().replace("Research", "Clinical"))
    said = call("export", work)
    said.refused(r"card\.md is not the file that training left")
    assert said.out == ""


def test_an_incomplete_run_is_not_exported(finished, tmp_path):
    work = shutil.copytree(finished.work, tmp_path / "work", ignore=shutil.ignore_patterns("data", "models"))
    shutil.rmtree(work / "classifiers" / "binary-logmel")
    call("export", work).refused(r"no Classifier for binary-logmel; .*`jaxresp run`")


def test_a_folder_that_is_no_classifier(tmp_path, wav):
    call("predict", "--model", tmp_path, wav).refused(r"is no Classifier directory.*`jaxresp run`")


def test_evaluate_of_something_that_is_no_run(tmp_path):
    call("evaluate", tmp_path).refused(r"holds no finished run .*`jaxresp run`")
    (tmp_path / "results.json").write_text("{")
    call("evaluate", tmp_path).refused(r"results\.json is damaged, .*`jaxresp run`")


def test_evaluate_of_a_classifier_without_data_says_what_is_missing(finished):
    call("evaluate", finished.classifier()).refused(r"--data")


def test_evaluate_of_a_run_folder_on_data_says_which_folder_is_meant(finished, strangers):
    call("evaluate", finished.work, "--data", strangers).refused(r"is no Classifier directory")


def test_evaluate_on_the_patients_of_the_training_is_refused(finished, prepared):
    said = call("evaluate", finished.classifier(), "--data", prepared)
    said.refused(r"was trained on 9 patients of this corpus \(101, .*Evaluate on other patients")
    assert said.out == ""


# The server


def test_a_port_in_use(finished):
    assert call("export", finished.work).status == 0
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        call("serve", "--port", port).refused(rf"port {port} on 127\.0\.0\.1 cannot be used .*--port {port + 1}")


def test_an_impossible_port():
    call("serve", "--port", "70000").refused(r"70000")


def test_serve_without_models(tmp_path, monkeypatch):
    script = "from jaxresp.cli import main; main(['serve', '--port', '0'])"
    environment = os.environ | {"BENTOML_HOME": str(tmp_path), "PYTHONPATH": str(shipped.root())}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120)
    said = Said(done.returncode, done.stdout, done.stderr)
    said.refused(
        r"model jaxresp-binary-mfcc is not in the model store; train with `jaxresp run`, then `jaxresp export`"
    )


# The whole road


def test_demo_without_serving(tmp_path, monkeypatch, finished):
    """Its parts are tested above; here, that they follow one another. The run is the one that is there already."""
    monkeypatch.chdir(tmp_path)
    calls: list[tuple[str, ...]] = []

    def whole_run(source: Path, work: Path, config, partial: bool, tracking_uri: str | None) -> None:
        assert len(list(source.rglob("*.wav"))) == RECORDINGS
        assert (source / "MADE_UP.txt").is_file() and partial and tracking_uri is None
        calls.append((source.name, work.name))
        shutil.copytree(finished.work / "classifiers", work / "classifiers")
        shutil.copy(finished.work / "results.json", work)

    monkeypatch.setattr(cli, "_whole_run", whole_run)
    monkeypatch.setattr("jaxresp.synthetic.SyntheticConfig", lambda: SyntheticConfig(3, (1, 1), (5.0, 6.0)))
    said = call("demo", "--no-serve")
    assert said.status == 0, said
    assert calls == [("made-up-icbhi", "demo")]
    assert re.findall(r"exported jaxresp-(\S+):", said.out) == SIX


def test_ctrl_c_is_one_line_and_130(prepared, tmp_path, monkeypatch):
    def fit(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("jaxresp.sweep.fit", fit)
    said = call("train", prepared, "--work", tmp_path, "--features", "mfcc")
    assert said.status == 130
    (line,) = said.err.strip().splitlines()  # an empty one before it: the terminal shows ^C there
    assert line.endswith("the same command continues from there")
    assert not (tmp_path / "results.json").exists()


def test_a_mistake_of_ours_is_not_dressed_up_as_the_users(prepared, tmp_path, monkeypatch):
    def fit(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr("jaxresp.sweep.fit", fit)
    with pytest.raises(ZeroDivisionError):
        cli.main(["train", str(prepared), "--work", str(tmp_path), "--features", "mfcc"])


def test_a_tracking_server_that_cannot_be_had_is_named(prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(jaxresp.tracking, "Tracker", _REAL_TRACKER)
    said = call("train", prepared, "--work", tmp_path, "--features", "mfcc", "--tracking-uri", "nonsense://x")
    said.refused(r"nonsense://x")
