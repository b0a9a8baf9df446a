"""The command line: what it says when it cannot, and what it leaves then."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import jaxresp.tracking
from jaxresp import cli, shipped

from .conftest import Said, call, made_up

_REAL_TRACKER = jaxresp.tracking.Tracker

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
        call(*command).refused(
            r"9 recordings of 9 patients with \d+ cycles; ICBHI 2017 has 920 of 126 with 6898.*--partial"
        )


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
        (["--warmup", "50"], r"warmup_epochs.*below max_epochs \(50\), got 50"),
        (["--mask", "0.1", "2"], "frequency_mask.*between 0 and 1, got 2"),
        (["--clip-norm", "0"], "clip_norm must be positive"),
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
    card.write_text(card.read_text() + "Clinically proven.\n")
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


# Stopped or broken on the way


def test_ctrl_c_is_one_line_and_130(prepared, tmp_path, monkeypatch):
    def fit(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("jaxresp.sweep.trial.fit", fit)
    said = call("train", prepared, "--work", tmp_path, "--features", "mfcc")
    assert said.status == 130
    (line,) = said.err.strip().splitlines()  # an empty one before it: the terminal shows ^C there
    assert line.endswith("the same command continues from there")
    assert not (tmp_path / "results.json").exists()


def test_a_mistake_of_ours_is_not_dressed_up_as_the_users(prepared, tmp_path, monkeypatch):
    def fit(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr("jaxresp.sweep.trial.fit", fit)
    with pytest.raises(ZeroDivisionError):
        cli.main(["train", str(prepared), "--work", str(tmp_path), "--features", "mfcc"])


def test_a_tracking_server_that_cannot_be_had_is_named(prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(jaxresp.tracking, "Tracker", _REAL_TRACKER)
    said = call("train", prepared, "--work", tmp_path, "--features", "mfcc", "--tracking-uri", "nonsense://x")
    said.refused(r"nonsense://x")
