"""The whole run on real recordings, with its default budget: what the table must say of so few patients."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxresp import shipped
from jaxresp.classifier import Classifier
from jaxresp.corpus import load
from jaxresp.evaluate import report, tables
from jaxresp.run_config import RunConfig
from jaxresp.run_report import load_results
from jaxresp.taxonomy import BINARY, MULTICLASS

pytestmark = [pytest.mark.slow, pytest.mark.real_data]

SIX = [f"{task}-{features}" for task in ("binary", "multiclass") for features in ("mfcc", "logmel", "augmented")]


def jaxresp(*words: str | Path) -> str:
    """A command in a process of its own, as users give it."""
    environment = os.environ | {"PYTHONPATH": str(shipped.root()), "COLUMNS": "200"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "jaxresp.cli", *map(str, words)], env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    print(f"jaxresp {words[0]}: {time.monotonic() - started:.0f} s\n{done.stdout[-6000:]}")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def official(real_data, tmp_path_factory) -> tuple[Path, str]:
    work = tmp_path_factory.mktemp("real") / "work"
    return work, jaxresp("run", real_data / "icbhi", "--work", work, "--partial")


def test_the_table_of_the_real_subset(official):
    work, out = official
    results = load_results(work)
    assert [result.name for result in results] == SIX
    (prepared,) = work.glob("data/icbhi/*/*/metadata.json")
    corpus = load(prepared.parent)
    for result in results:
        task = {"binary": BINARY, "multiclass": MULTICLASS}[result.task]
        assert result.patients == corpus.patients_per_class(task)
        assert result.recordings == corpus.recordings_per_class(task)
        assert result.patients["Normal"] == 3
        assert result.metrics.n == len(corpus)
        recall_of_the_largest_class_alone = 1 / len(task.classes)
        assert result.majority.balanced_accuracy == pytest.approx(recall_of_the_largest_class_alone)
        assert Classifier.load(work / "classifiers" / result.name).classes == task.classes
        assert result.settings["trials"] == RunConfig().n_trials
    words = " ".join(out.split())
    for told in (
        *(column for column in ("balanced accuracy", "macro F1", "ROC-AUC", "majority") if column in tables.COLUMNS),
        "majority",
        f"Unseen patients, {report.corpus_title(results[0].corpus)}",
        "Normal 3 patients",
        "Fewer than ten patients in:",
        "Normal (3)",
        f"This is a subset of icbhi ({len(corpus)} recordings): it shows that the program works, "
        "not how well it diagnoses.",
        *SIX,
    ):
        assert told in words, told
    assert "This is a subset of icbhi" in (work / "report.md").read_text()


def test_the_same_command_again_gives_the_same_table_at_once(official, real_data):
    work, out = official
    table = out[out.index("Unseen patients") :]
    before = (work / "results.json").read_bytes()
    assert jaxresp("run", real_data / "icbhi", "--work", work, "--partial").endswith(table)
    assert (work / "results.json").read_bytes() == before


def same(ours: Any, theirs: Any, where: str) -> None:
    """Equal in every value, where records of arrays hold records of arrays."""
    if is_dataclass(ours) and not isinstance(ours, type):
        for field in fields(ours):
            same(getattr(ours, field.name), getattr(theirs, field.name), f"{where}.{field.name}")
    elif isinstance(ours, tuple | list):
        assert len(ours) == len(theirs), where
        for i, pair in enumerate(zip(ours, theirs, strict=True)):
            same(*pair, f"{where}[{i}]")
    else:
        np.testing.assert_array_equal(ours, theirs, err_msg=where)


def test_the_kaggle_layout_holds_the_same_recordings(official, real_data_kaggle, tmp_path):
    work, _ = official
    (prepared,) = work.glob("data/icbhi/*/*/metadata.json")
    ours = load(prepared.parent)
    kaggle = Path(jaxresp("prepare", real_data_kaggle / "icbhi", "--data", tmp_path, "--partial").split()[-1])
    theirs = load(kaggle)
    for field in fields(ours):
        # Only the original has the train/test file, only Kaggle's copy filename_differences.txt.
        if field.name not in ("fingerprint", "official_split", "stethoscope_disputed"):
            same(getattr(ours, field.name), getattr(theirs, field.name), field.name)
    out = jaxresp("train", kaggle, "--work", tmp_path / "w", "--task", "binary", "--features", "mfcc", "--epochs", "1",
                  "--filters", "16", "--dense", "64")  # fmt: skip
    assert "This is a subset of icbhi" in " ".join(out.split())
