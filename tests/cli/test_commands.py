"""The command line: what each command does."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import get_args

import bentoml
import pytest

import jaxresp
from jaxresp import cli_settings, cli_train
from jaxresp.balance import Balance
from jaxresp.classifier import Classifier
from jaxresp.corpus import load
from jaxresp.prediction import NOTICE
from jaxresp.run_config import Searching
from jaxresp.sweep import PRUNINGS, SearchSpace
from jaxresp.sweep.space import ORIGINAL, SPACES, Choice, Whole
from jaxresp.synthetic import SyntheticConfig
from jaxresp.taxonomy import TASKS
from jaxresp.train import TrainConfig
from jaxresp.train.config import Precision, Schedule

from .conftest import RECORDINGS, SIX, call


def test_help_and_version():
    said = call("--help")
    assert said.status == 0
    data, models = (
        ("data", "prepare", "explore", "splits"),
        ("run", "train", "sweep", "design", "evaluate", "predict", "audit"),
    )
    for command in (*data, *models, "export", "serve", "space", "demo"):
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
    steps = [line for line in finished.said.out.splitlines() if re.match(r"\d{4}-\d\d-\d\d ", line)]
    assert all(re.fullmatch(r"\S+ \d\d:\d\d:\d\d +\d+% [\w ]+(-\w+)*: .*", line) for line in steps), steps
    for name in SIX:
        assert any(f"% {name}: trial 1/1: loss " in line for line in steps), steps
    assert steps[-1].endswith("100% all models: finished")


def test_the_same_command_again_trains_nothing_and_shows_the_same_table(source, finished, monkeypatch):
    def fit(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr("jaxresp.sweep.trial.fit", fit)
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
        "--learning-rate", "0.01", "--dropout", "0.1", "--balance", "none", "--seed", "3", "--band", "common",
        "--schedule", "cosine", "--n-mels", "30",
    )  # fmt: skip
    assert said.status == 0, said
    assert [path.name for path in (tmp_path / "w" / "classifiers").iterdir()] == ["binary-mfcc"]
    (trial,) = json.loads((tmp_path / "w" / "results.json").read_text())["results"]
    assert trial["settings"]["learning_rate"] == 0.01 and trial["settings"]["dropout"] == 0.1
    told = json.loads((tmp_path / "w" / "run.json").read_text())["config"]
    assert (told["seed"], told["band"]) == (3, "common")
    assert TrainConfig(**told["training"]) == TrainConfig(
        learning_rate=0.01, schedule="cosine", dropout=0.1, max_epochs=1, balance="none"
    )
    classifier = tmp_path / "w" / "classifiers" / "binary-mfcc"
    assert json.loads((classifier / "config.json").read_text())["frontend"]["band"] == "common"
    frontend = Classifier.load(classifier).frontend
    assert frontend.band_hz == (50.0, 1800.0) and frontend.n_mels == 30
    for words in (said.out, (tmp_path / "w" / "report.md").read_text(), (classifier / "card.md").read_text()):
        assert "Band heard: common (50–1800 Hz)" in words


def test_every_task_space_and_pruning_can_be_asked_for():
    assert set(cli_train.TASKS) == set(TASKS)
    assert cli_train.PRUNINGS == PRUNINGS
    assert set(cli_train.SPACES) == set(SPACES)


def test_every_choice_of_a_training_can_be_asked_for():
    assert get_args(Balance) == cli_settings.BALANCES
    assert get_args(Schedule) == cli_settings.SCHEDULES
    assert get_args(Precision) == cli_settings.PRECISIONS


def test_everything_that_a_training_is_told_arrives(tmp_path):
    words = "--learning-rate 0.01 --schedule cosine --warmup 2.5 --dropout 0.1 --weight-decay 0.001 --clip-norm 5"
    words += " --label-smoothing 0.05 --precision bfloat16 --balance oversampling --mixup 0.2 --mask 0.1 0.15"
    given = cli_train.train.make_context("it", [str(tmp_path), "--work", "w", *words.split()]).params
    assert TrainConfig(**cli_settings.settings_of(given)) == TrainConfig(
        learning_rate=0.01, schedule="cosine", warmup_epochs=2.5, dropout=0.1, weight_decay=0.001, label_smoothing=0.05,
        clip_norm=5.0, precision="bfloat16", balance="oversampling", mixup=0.2, time_mask=0.1, frequency_mask=0.15,
    )  # fmt: skip


def test_what_a_sweep_is_told_arrives(tmp_path):
    words = "--workers 2 --storage journal --study s --space wide --pruning hyperband --trials 7"
    given = cli_train.sweep.make_context("it", [str(tmp_path), "--work", "w", *words.split()]).params
    searching, rest = cli_train._searching(given)
    assert searching == Searching("journal", "s", 2)
    assert (searching.name_of("m", 1), searching.name_of("m", 6), Searching().name_of("m", 6)) == ("s", "s/m", "m")
    rest = {name: rest[name] for name in ("trials", "space", "pruning", "folds", "seed")}
    config = cli_train.config_of(tasks=("binary",), features=("mfcc",), **rest)
    assert (config.space, config.pruning, config.n_trials) == ("wide", "hyperband", 7)
    assert cli_train.run.make_context("it", [str(tmp_path), "--work", "w"]).params["pruning"] == "none"
    assert cli_train.sweep.make_context("it", [str(tmp_path), "--work", "w"]).params["pruning"] == "median"


def test_a_training_that_is_told_nothing_has_the_defaults(tmp_path):
    for command in (cli_train.train, cli_train.sweep, cli_train.run):
        given = command.make_context("it", [str(tmp_path), "--work", "w"]).params
        assert TrainConfig(**cli_settings.settings_of(given)) == TrainConfig()


def test_sweep_tries_as_many_settings_as_asked(prepared, tmp_path, monkeypatch):
    # No setting needs another network to be compiled.
    space = SearchSpace("original", {**ORIGINAL.dimensions, "filters": Choice((2,)), "dense": Whole(4, 4)})
    monkeypatch.setitem(SPACES, "original", lambda frontend: space)
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


def test_predict_for_another_prevalence(finished, wav):
    model = finished.classifier("multiclass-mfcc")
    shares = ("--prevalence", "Normal", "0.98", "--prevalence", "Chronic", "0.01", "--prevalence", "Infection", "0.01")
    equal, healthy = (json.loads(call("predict", "--json", "--model", model, *more, wav).out) for more in ((), shares))
    assert equal["prevalence"] == pytest.approx(dict.fromkeys(("Normal", "Chronic", "Infection"), 1 / 3))
    assert healthy["prevalence"] == {"Normal": 0.98, "Chronic": 0.01, "Infection": 0.01}
    odds = {name: p * healthy["prevalence"][name] for name, p in equal["probabilities"].items()}
    expected = {name: each / sum(odds.values()) for name, each in odds.items()}
    assert healthy["probabilities"] == pytest.approx(expected, abs=1e-5)
    call("predict", "--model", model, *shares[:3], wav).refused("a share above 0, 1 in all")


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
    assert [tag.partition(":")[0] for tag in tags] == [f"jaxresp-{name}" for name in (*SIX, "about")]
    for tag in tags:
        name, _, version = tag.partition(":")
        assert (Path(os.environ["BENTOML_HOME"]) / "models" / name / version).is_dir()
    assert call("export", finished.work).out.split() == tags


def test_serve_exports_the_run_it_is_given(finished, monkeypatch):
    served = []

    def serve(port: int, host: str) -> int:
        served.append((port, host, bentoml.models.get("jaxresp-about:latest").info.creation_time))
        return 0

    monkeypatch.setattr("bento.serve.serve", serve)
    assert call("export", finished.work).status == 0
    bentoml.models.delete("jaxresp-about:latest")
    assert call("serve", finished.work, "--port", "3999", "--host", "127.0.0.1").status == 0
    assert [each[:2] for each in served] == [(3999, "127.0.0.1")]


def test_a_finished_run_of_made_up_recordings_becomes_a_space(finished, tmp_path):
    said = call("space", tmp_path / "space", "--from", finished.work, "--title", "Breath")
    assert said.status == 0, said
    assert (tmp_path / "space" / "run" / "results.json").read_text() == (finished.work / "results.json").read_text()
    assert (tmp_path / "space" / "run" / "data.html").read_text().startswith('<div class="jaxresp-data">')
    assert "# Breath" in (tmp_path / "space" / "README.md").read_text()
    call("space", tmp_path / "space").refused("not empty")


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

    monkeypatch.setattr(cli_train, "whole_run", whole_run)
    monkeypatch.setattr("jaxresp.synthetic.SyntheticConfig", lambda: SyntheticConfig(3, (1, 1), (5.0, 6.0)))
    said = call("demo", "--no-serve")
    assert said.status == 0, said
    assert calls == [("made-up-icbhi", "demo")]
    assert re.findall(r"exported jaxresp-(\S+):", said.out) == [*SIX, "about"]
