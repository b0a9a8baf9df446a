"""Who looks at a test is written down before it is read, and what is chosen is chosen without it."""

from __future__ import annotations

import ast
import importlib
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import scipy.stats

from jaxresp.corpus import interval_corpus
from jaxresp.evaluate.answers import Answers
from jaxresp.evaluate.metrics import classification_metrics
from jaxresp.material import Material
from jaxresp.models import storage
from jaxresp.run_config import RunConfig
from jaxresp.run_report.finished import answers_of
from jaxresp.taxonomy import CYCLES_BINARY, SPRSOUND_2_1, SPRSOUND_2_2
from jaxresp.train import TrainConfig
from jaxresp.window import WindowConfig
from jaxresp.workdir import WorkdirMismatch

FOLDER = Path(__file__).resolve().parents[1] / "experiments"


@pytest.fixture(scope="module", autouse=True)
def _as_scripts():
    """Experiments find each other as scripts in one folder do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield


@pytest.fixture(scope="module")
def looking(_as_scripts) -> ModuleType:
    return importlib.import_module("looking")


@pytest.fixture(scope="module")
def studying(_as_scripts) -> ModuleType:
    return importlib.import_module("studying")


@pytest.fixture(scope="module")
def choosing(_as_scripts) -> ModuleType:
    return importlib.import_module("choosing")


@pytest.fixture(scope="module")
def seeds(_as_scripts) -> ModuleType:
    return importlib.import_module("seeds")


@pytest.fixture(scope="module")
def deciding(_as_scripts) -> ModuleType:
    return importlib.import_module("deciding")


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


def test_a_look_that_was_cut_off_counts(looking, studying, ledger, easy_corpus, monkeypatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(looking, "studied", killed)
    setting = studying.Setting(RunConfig(split="icbhi-official"), {"more": 4})
    with pytest.raises(KeyboardInterrupt):
        looking.look("an experiment", easy_corpus, setting, [0, 1])
    (entry,) = entries(ledger)
    assert (entry["test"], entry["configuration"]["seeds"]) == ("icbhi-official", [0, 1])
    assert entry["configuration"]["network"] == {"more": 4}


SMALL = RunConfig(
    tasks=("cycles-binary",),
    features=("mfcc",),
    n_trials=1,
    filters=2,
    dense=4,
    training=TrainConfig(max_epochs=1, batch_size=16),
    split="icbhi-official",
    window=WindowConfig(2.0, 2.0),
)


def test_a_look_judges_every_seed_and_all_of_them_as_one(looking, studying, seeds, ledger, easy_corpus, monkeypatch):
    fitted = []
    monkeypatch.setattr(studying, "sweep", lambda *a, real=studying.sweep, **o: fitted.append(1) or real(*a, **o))
    runs, together = looking.look("an experiment", easy_corpus, studying.Setting(SMALL), [0, 1])
    assert len(fitted) == len(runs) == 2 and {result.unit for (result,) in runs} == {"cycle"}
    folders = [looking.work() / "experiments" / "an experiment" / f"seed-{seed}" for seed in (0, 1)]
    each = [answers_of(folder / "models" / "cycles-binary-mfcc") for folder in folders]
    test = each[0].recordings
    cycles = interval_corpus(easy_corpus)
    assert set(test.tolist()) == set(cycles.recording[cycles.official_split == "test"].tolist())
    as_one = together["cycles-binary-mfcc"][seeds.ALL]
    odds = np.sqrt(each[0].probabilities * each[1].probabilities)  # of calibrated logits, the mean
    expected = classification_metrics(each[0].labels, odds / odds.sum(1, keepdims=True))
    assert as_one.metrics.confusion == expected.confusion and as_one.metrics.roc_auc == pytest.approx(expected.roc_auc)
    assert "ICBHI Score" in as_one.scores
    told = seeds.over_seeds(runs, together, "ICBHI Score")
    assert "(2 seeds)" in told and "cycles-binary-mfcc, 2 seeds as one" in told
    again, _ = looking.look("an experiment", easy_corpus, studying.Setting(SMALL), [0, 1])
    assert len(fitted) == 2 and [r.to_json() for (r,) in again] == [r.to_json() for (r,) in runs]
    assert [each["count"] for each in entries(ledger)] == [1, 2]
    assert not list(looking.work().rglob("classifiers"))
    with pytest.raises(WorkdirMismatch, match="config"):
        looking.look("an experiment", easy_corpus, studying.Setting(replace(SMALL, dense=8)), [0, 1])


def test_choosing_sees_no_recording_of_a_test_and_is_no_look(
    looking, studying, choosing, ledger, easy_corpus, monkeypatch, tmp_path
):
    material, fitted = Material(looking.training_side(easy_corpus)), []
    assert set(material.corpus.official_split.tolist()) == {"train"}
    assert len(material.corpus) == np.sum(easy_corpus.official_split == "train")

    def fit(bank, labels, *_, train, validation, on_epoch, **__):
        patients = material.rows(CYCLES_BINARY).patient
        assert set(patients[train]).isdisjoint(patients[validation])
        assert len(set(patients[train]) | set(patients[validation])) == len(set(patients.tolist()))
        fitted.append(set(patients[validation].tolist()))
        return real(bank, labels, *_, train=train, validation=validation, on_epoch=on_epoch, **__)

    real = choosing.fit
    monkeypatch.setattr(choosing, "fit", fit)
    settings = {"a": studying.Setting(SMALL), "b": studying.Setting(replace(SMALL, dense=8))}
    asked = {"n_rounds": 2, "score": "ICBHI Score", "progress": lambda *_: None}
    tried = choosing.choose(material, tmp_path, CYCLES_BINARY, settings, **asked)
    assert len(fitted) == 4 and fitted[0] != fitted[1] and fitted[:2] == fitted[2:] and not ledger.exists()
    assert [each.loss for each in tried] == sorted(each.loss for each in tried)
    assert {each.name for each in tried} == {"a", "b"} and tried[0].n_patients == len(fitted[0] | fitted[1])
    again = choosing.choose(material, tmp_path, CYCLES_BINARY, settings, **asked)
    assert len(fitted) == 4 and again == tried
    with pytest.raises(WorkdirMismatch):
        choosing.choose(material, tmp_path, CYCLES_BINARY, {"a": settings["b"]}, **asked)


def test_a_network_that_is_too_sure_loses_nothing_by_it(choosing):
    labels = np.arange(60) % 3
    logits = np.random.default_rng(0).normal(size=(60, 3)) + np.eye(3)[labels]
    assert choosing.calibrated_loss(labels, 2 * logits) == pytest.approx(
        choosing.calibrated_loss(labels, logits), abs=1e-3
    )
    assert choosing.calibrated_loss(labels, logits[::-1]) > choosing.calibrated_loss(labels, logits)


#: Labels of five classes, as unevenly as one likes; every class is there.
FIVE = np.repeat(np.arange(5), (20, 3, 5, 2, 7))


def answered(probabilities: np.ndarray) -> Answers:
    names = np.array([f"r{i:02}" for i in range(len(FIVE))])
    return Answers(names, names, FIVE, probabilities, SPRSOUND_2_2.classes)


def test_whoever_heard_nothing_answers_the_shares_that_are_asked_for(deciding):
    nothing = answered(np.full((len(FIVE), 5), 0.2))
    for task, share in ((SPRSOUND_2_2, 0.35), (SPRSOUND_2_1, 0.4)):
        told = deciding.decided(nothing, deciding.prevalence(FIVE, SPRSOUND_2_2, share), SPRSOUND_2_2, task)
        normal, poor = (task.classes.index(name) for name in ("Normal", "Poor Quality"))
        np.testing.assert_allclose(told.probabilities[:, normal], share)
        np.testing.assert_allclose(told.probabilities[:, poor], (1 - share) * 7 / 17)
        even = deciding.decided(nothing, deciding.even(FIVE, SPRSOUND_2_2, task), SPRSOUND_2_2, task)
        np.testing.assert_allclose(even.probabilities, 1 / len(task.classes))


def test_three_classes_are_answered_by_the_sums_of_five(deciding):
    five = np.random.default_rng(0).dirichlet(np.ones(5), len(FIVE))
    told = deciding.decided(answered(five), np.full(5, 0.2), SPRSOUND_2_2, SPRSOUND_2_1)
    expected = np.stack([five[:, 0], five[:, 1:4].sum(1), five[:, 4]], axis=1)
    assert told.classes == ("Normal", "Adventitious", "Poor Quality")
    np.testing.assert_allclose(told.probabilities, expected)
    assert told.labels.tolist() == [0] * 20 + [1] * 10 + [2] * 7


def test_the_more_normal_ones_there_are_the_more_specific_is_the_answer(deciding):
    rounds = [answered(np.random.default_rng(k).dirichlet(np.ones(5), len(FIVE))) for k in range(2)]
    asked = (rounds, FIVE, SPRSOUND_2_2, SPRSOUND_2_1)
    specificity = list(deciding.scores_by_share(*asked, "specificity").values())
    assert specificity == sorted(specificity) and specificity[0] < specificity[-1]
    by_share = deciding.scores_by_share(*asked, "SPRSound Score")
    assert set(by_share) == set(deciding.SHARES) and len(set(by_share.values())) > 1


def test_validated_answers_are_of_the_patients_who_were_judged(deciding, choosing, studying, easy_corpus, tmp_path):
    material, settings = Material(easy_corpus), {"a": studying.Setting(SMALL)}
    asked = {"n_rounds": 2, "score": "ICBHI Score", "progress": lambda *_: None}
    (tried,) = choosing.choose(material, tmp_path, CYCLES_BINARY, settings, **asked)
    found = deciding.validated(material, tmp_path / "a", CYCLES_BINARY, 2)
    assert len({who for each in found for who in each.patients.tolist()}) == tried.n_patients
    rows = material.rows(CYCLES_BINARY)
    of = dict(zip(rows.recording.tolist(), rows.labels(CYCLES_BINARY).tolist(), strict=True))
    for k, each in enumerate(found):
        logits = storage.unpack((tmp_path / "a" / f"round-{k}.npz").read_bytes())["logits"]
        assert [of[name] for name in each.recordings.tolist()] == each.labels.tolist()
        assert np.argsort(logits[:, 0]).tolist() == np.argsort(each.probabilities[:, 1]).tolist()


def test_the_interval_over_seeds_is_students(seeds):
    values = [0.5, 0.55, 0.52, 0.61, 0.58]
    low, high = scipy.stats.t.interval(0.95, 4, np.mean(values), scipy.stats.sem(values))
    assert seeds.mean_and_interval(values) == f"{np.mean(values):.3f} [{low:.3f}–{high:.3f}] (5 seeds)"
    assert seeds.mean_and_interval([0.5]) == "0.500 (one seed)"


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
    experiments = [path for path in FOLDER.glob("*.py") if "\nfrom looking import" in path.read_text()]
    assert len(experiments) == 5
    listed = (FOLDER.parent / "Makefile").read_text().partition("EXPERIMENTS :=")[2].partition("\n")[0].split()
    assert sorted(listed) == sorted(path.stem for path in experiments)
    for path in experiments:
        told = ast.get_docstring(ast.parse(path.read_text())) or ""
        for words in (f"python experiments/{path.name}", "Expected time:", "Expected number:"):
            assert words in told, (path.name, words)
