"""An audit in its folder: whole, continued, refused; and what it says. Training is stood in for; see test_faults."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from jaxresp.audit import AuditConfig, AuditError, audit, auditing
from jaxresp.audit.auditing import recordings_of
from jaxresp.audit.faults import FAULTS, HONEST
from jaxresp.audit.finding import verdict
from jaxresp.audit.printing import markdown, print_audit
from jaxresp.corpus import Corpus
from jaxresp.evaluate.bootstrap import Difference
from jaxresp.features import FeatureBank
from jaxresp.frontend import InvalidFrontend
from jaxresp.train import TrainConfig
from jaxresp.workdir import WorkdirInUse, WorkdirMismatch, sole_user

CONFIG = AuditConfig(task="multiclass", filters=2, dense=4, training=TrainConfig(max_epochs=1))


@dataclass
class Trainer:
    """Answers drawn from a protocol's name: the truth, more often under a fault; and a Ctrl-C where it is asked for."""

    trained: list[str] = field(default_factory=list)
    stop_at: str = ""

    def __call__(self, audited, protocol, report):
        if protocol == self.stop_at:
            raise KeyboardInterrupt
        report("fold 1/3, epoch 1", 0.5)
        self.trained.append(protocol)
        rng = np.random.default_rng([*protocol.encode()])
        right = rng.uniform(size=len(audited.labels)) < (0.5 if protocol in HONEST else 0.95)
        n, n_classes = len(audited.labels), len(audited.task.classes)
        wrong = (audited.labels + rng.integers(1, n_classes, n)) % n_classes
        odds = rng.uniform(0, 0.3, (n, n_classes)) + np.eye(n_classes)[np.where(right, audited.labels, wrong)]
        fold_of = np.empty(len(odds), np.int64)
        for k, fold in enumerate(audited.split.folds):
            fold_of[fold.test] = k
        return odds / odds.sum(1, keepdims=True), fold_of


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Trainer:
    stand_in = Trainer()
    monkeypatch.setattr(auditing, "train_and_answer", stand_in)

    def no_features(corpus, frontend, window, *, variants, **_):
        n = len(corpus)
        return FeatureBank(np.zeros((n, 1 + variants, 2, 3), np.float32), np.arange(n, dtype=np.int32), n)

    monkeypatch.setattr(auditing, "build_bank", no_features)
    return stand_in


@pytest.fixture
def corpus(easy_corpus: Corpus) -> Corpus:
    """A recording of a normal patient is missing, so that there is something to oversample."""
    missing = np.flatnonzero(easy_corpus.diagnosis == "Healthy")[0]
    return easy_corpus.select(np.delete(np.arange(len(easy_corpus)), missing))


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_protocol_is_trained_once_and_its_answers_are_kept(corpus, trainer, tmp_path):
    told: list[float] = []
    found = audit(corpus, tmp_path, CONFIG, progress=lambda protocol, what, done: told.append(done))
    trained = [name for name, fault in FAULTS.items() if fault.leaks != "scoring"]
    assert trainer.trained == [*HONEST, *trained]
    assert {path.stem for path in (tmp_path / "answers").iterdir()} == {*HONEST, *trained}
    assert [each.fault for each in found.findings] == list(FAULTS)
    assert told == sorted(told)
    assert told[-1] == 1.0
    for each in found.findings[:-1]:
        assert each.n_patients == 24
        assert each.n_units == len(corpus)
        assert each.verdict == "adds"
        assert each.adds["balanced_accuracy"].value == pytest.approx(
            each.wrong["balanced_accuracy"].value - each.right["balanced_accuracy"].value
        )


def test_a_stopped_audit_continues_and_ends_as_the_unbroken_one(corpus, trainer, tmp_path):
    audit(corpus, tmp_path / "unbroken", CONFIG)
    trainer.trained.clear()
    trainer.stop_at = "augmented-before-split"
    with pytest.raises(KeyboardInterrupt):
        audit(corpus, tmp_path / "broken", CONFIG)
    assert not (tmp_path / "broken" / "audit.json").exists()
    before = list(trainer.trained)
    trainer.stop_at = ""
    audit(corpus, tmp_path / "broken", CONFIG)
    assert len(trainer.trained) == len(set(trainer.trained)) == len(HONEST) + len(FAULTS) - 1
    assert before == trainer.trained[: len(before)]
    assert files(tmp_path / "broken") == files(tmp_path / "unbroken")
    trainer.trained.clear()
    audit(corpus, tmp_path / "broken", CONFIG)
    assert trainer.trained == []


def test_more_faults_are_added_to_a_folder(corpus, trainer, tmp_path):
    one = audit(corpus, tmp_path, CONFIG, faults=("split-by-recording",))
    assert trainer.trained == ["honest", "split-by-recording"]
    two = audit(corpus, tmp_path, CONFIG, faults=("smote-before-split", "split-by-recording"))
    assert trainer.trained == ["honest", "split-by-recording", "honest-smote", "smote-before-split"]
    assert two.findings[0] == one.findings[0]


def test_a_folder_of_other_settings_or_another_corpus_is_refused(corpus, trainer, tmp_path):
    audit(corpus, tmp_path, CONFIG, faults=("split-by-recording",))
    with pytest.raises(WorkdirMismatch, match="its config differ"):
        audit(corpus, tmp_path, replace(CONFIG, filters=3), faults=("split-by-recording",))
    with pytest.raises(WorkdirMismatch, match="its corpus differ"):
        audit(corpus.select(np.arange(len(corpus) - 1)), tmp_path, CONFIG, faults=("split-by-recording",))
    with sole_user(tmp_path), pytest.raises(WorkdirInUse):
        audit(corpus, tmp_path, CONFIG)


def test_what_cannot_be_committed_here_is_said_and_not_trained(easy_corpus, trainer, tmp_path):
    _, first = np.unique(easy_corpus.patient, return_index=True)
    found = audit(easy_corpus.select(np.sort(first)), tmp_path / "once", replace(CONFIG, task="binary"))
    assert set(found.impossible) == {"split-by-recording", "overlapping-patients", "lenient-sensitivity"}
    assert set(found.impossible).isdisjoint(trainer.trained)
    assert "Not possible here, split-by-recording: every patient has one recording" in markdown(found)
    with pytest.raises(AuditError, match=r"none of these faults can be committed.*one abnormal class"):
        audit(easy_corpus, tmp_path, replace(CONFIG, task="binary"), faults=("lenient-sensitivity",))


def test_cycles_are_audited_by_the_recording_they_are_of(corpus, trainer, tmp_path):
    found = audit(
        corpus, tmp_path, replace(CONFIG, task="cycles"), faults=("lenient-sensitivity", "split-by-recording")
    )
    assert found.n_units == len(corpus.annotations)
    assert found.n_patients == 24
    by_recording, lenient = found.findings
    assert by_recording.n_units == lenient.n_units == found.n_units
    assert list(lenient.adds) == ["score"]
    assert f"{found.n_units} cycles of 24 patients" in markdown(found)


def test_the_report_holds_every_number_with_its_interval_and_n(corpus, trainer, tmp_path, capsys):
    from rich.console import Console

    found = audit(corpus, tmp_path, CONFIG)
    stored = json.loads((tmp_path / "audit.json").read_text())
    assert stored["n_patients"] == 24
    assert [each["fault"] for each in stored["findings"]] == list(FAULTS)
    for told, each in zip(stored["findings"], found.findings, strict=True):
        assert told["verdict"] == each.verdict
        assert told["what"] == FAULTS[each.fault].what
        for name, difference in each.adds.items():
            assert told["adds"][name] == pytest.approx(list(difference))
    text = (tmp_path / "audit.md").read_text()
    print_audit(Console(width=80), found)
    shown = capsys.readouterr().out
    for fault in FAULTS:
        assert f"| {fault} |" in text
        assert fault in shown
    assert "47 recordings of 24 patients" in text
    assert "made up" in text
    assert max(map(len, shown.splitlines())) <= 80
    difference = found.findings[0].adds["balanced_accuracy"]
    assert f"{difference.value:+.3f} [{difference.low:+.2f} to {difference.high:+.2f}]" in text
    assert f"{difference.value:+.3f}" in shown


def test_what_an_interval_says():
    assert verdict(Difference(0.1, 0.01, 0.2)) == "adds"
    assert verdict(Difference(0.1, 0.0, 0.2)) == "nothing seen"
    assert verdict(Difference(-0.1, -0.2, -0.01)) == "takes away"
    assert verdict(Difference(math.nan, math.nan, math.nan)) == "undefined"


def test_the_recording_of_a_unit():
    names = np.array(["101_1b1_Al_sc_Meditron#03", "101_1b1_Al_sc_Meditron"])
    assert recordings_of(names).tolist() == ["101_1b1_Al_sc_Meditron"] * 2


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"n_folds": 1}, "n_folds is 1"),
        ({"copies": 0}, "copies is 0"),
        ({"overlap_share": 0.0}, "overlap_share is 0.0"),
        ({"seed": -1}, "seed is -1"),
        ({"dense": 0}, "0 dense units"),
    ],
)
def test_what_cannot_be_audited_is_refused(changes, what):
    with pytest.raises(AuditError, match=what):
        replace(CONFIG, **changes)
    with pytest.raises(InvalidFrontend):
        replace(CONFIG, band="narrow")
