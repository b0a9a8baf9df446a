"""Who looks at a test is written down before it is read, and what is chosen is chosen without it."""

from __future__ import annotations

import ast
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import scipy.stats

from jaxresp.run import RunConfig

FOLDER = Path(__file__).resolve().parents[1] / "experiments"


@pytest.fixture(scope="module")
def looking() -> ModuleType:
    spec = importlib.util.spec_from_file_location("looking", FOLDER / "looking.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def ledger(looking, tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(looking, "LEDGER", tmp_path / "results" / "ledger.jsonl")
    monkeypatch.setenv("JAXRESP_WORK", str(tmp_path / "work"))
    return looking.LEDGER


def entries(ledger: Path) -> list[dict]:
    return [json.loads(line) for line in ledger.read_text().splitlines()]


def test_looks_are_counted_per_corpus_and_test(looking, ledger, easy_corpus):
    asked = [("icbhi-official", 1), ("icbhi-official", 2), ("folds", 1), ("icbhi-official", 3)]
    for test, count in asked:
        assert looking.enter("an experiment", easy_corpus, test, {"seeds": [0]}) == count
    told = entries(ledger)
    assert [(each["test"], each["count"]) for each in told] == asked
    assert {each["corpus"]["fingerprint"] for each in told} == {easy_corpus.fingerprint}
    assert len({each["configuration_sha256"] for each in told}) == 1
    assert looking.enter("an experiment", easy_corpus, "folds", {"seeds": [1]}) == 2
    assert entries(ledger)[-1]["configuration_sha256"] != told[0]["configuration_sha256"]
    assert all(len(each["commit"].removesuffix("-dirty")) == 40 for each in told)


def test_a_look_that_was_cut_off_counts(looking, ledger, easy_corpus, monkeypatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(looking, "run", killed)
    with pytest.raises(KeyboardInterrupt):
        looking.look("an experiment", easy_corpus, RunConfig(split="icbhi-official"), [0, 1])
    (entry,) = entries(ledger)
    assert (entry["test"], entry["configuration"]["seeds"]) == ("icbhi-official", [0, 1])


def test_choosing_sees_no_recording_of_a_test_and_is_no_look(looking, ledger, easy_corpus, monkeypatch):
    seen = []

    def run(corpus, work, config, **_):
        seen.append((corpus, config.split))
        return ()

    monkeypatch.setattr(looking, "run", run)
    looking.choose("an experiment", easy_corpus, {"a": RunConfig(split="icbhi-official"), "b": RunConfig(filters=8)})
    assert len(seen) == 2 and not ledger.exists()
    for corpus, split in seen:
        assert set(corpus.official_split.tolist()) == {"train"} and split == "folds"
        assert len(corpus) == np.sum(easy_corpus.official_split == "train")


def test_the_interval_over_seeds_is_students(looking):
    values = [0.5, 0.55, 0.52, 0.61, 0.58]
    low, high = scipy.stats.t.interval(0.95, 4, np.mean(values), scipy.stats.sem(values))
    assert looking.mean_and_interval(values) == f"{np.mean(values):.3f} [{low:.3f}–{high:.3f}] (5 seeds)"
    assert looking.mean_and_interval([0.5]) == "0.500 (one seed)"


def test_what_is_made_up_or_a_part_is_not_kept_among_the_results(looking, ledger, easy_corpus):
    looking.write("an-experiment", "| a | b |", easy_corpus)
    assert not (ledger.parent / "an-experiment.md").exists()
    kept = (looking.work() / "experiments" / "an-experiment.md").read_text()
    assert "icbhi 2.0.0 (made up), 48 recordings" in kept and "| a | b |" in kept


def test_an_experiment_without_its_corpus_says_so_and_ends_well(looking, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("JAXRESP_RECORDINGS", str(tmp_path))
    monkeypatch.setattr(looking, "use_persistent_cache", lambda: None)
    with pytest.raises(SystemExit) as end:
        looking.corpus("kauh")
    assert end.value.code == 0
    assert "kauh is not there; `jaxresp data fetch kauh` gets it" in capsys.readouterr().out


def test_every_experiment_tells_its_command_its_time_and_its_number():
    """And `make results` runs it."""
    found = [path for path in FOLDER.glob("*.py") if "import" in path.read_text() and "looking" in path.read_text()]
    experiments = [path for path in found if path.name != "looking.py"]
    assert len(experiments) == 5
    listed = (FOLDER.parent / "Makefile").read_text().partition("EXPERIMENTS :=")[2].partition("\n")[0].split()
    assert sorted(listed) == sorted(path.stem for path in experiments)
    for path in experiments:
        told = ast.get_docstring(ast.parse(path.read_text())) or ""
        for words in (f"python experiments/{path.name}", "Expected time:", "Expected number:"):
            assert words in told, (path.name, words)
