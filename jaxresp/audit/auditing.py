"""A corpus audited in a folder: every protocol is trained once, its answers kept, and what is there is not done again.

out/
  config.json             settings and corpus: a folder belongs to one of each
  answers/<protocol>.csv  one line per unit, as in a run's out_of_fold.csv
  audit.json, audit.md    what every fault adds
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Shaped

from jaxresp.audit.faults import HONEST, AuditError, Fault, faults_named
from jaxresp.audit.finding import Audit, Finding, finding, lenient_finding, why_not_lenient
from jaxresp.audit.leaking_training import Audited, overlapping_patients, train_and_answer
from jaxresp.audit.printing import markdown
from jaxresp.corpus import Corpus, recording_of, units
from jaxresp.corpus.recordings import corpus_identity
from jaxresp.corpus.table import window_index
from jaxresp.dsp.augment import AugmentConfig
from jaxresp.evaluate.answers import Answers, answers_table, read_answers
from jaxresp.features import build_bank
from jaxresp.files import write_whole
from jaxresp.frontend import FrontEnd, frontend_named
from jaxresp.models import NetworkConfig
from jaxresp.splits import Split, cross_validation
from jaxresp.taxonomy import Task, task_named
from jaxresp.train import TrainConfig
from jaxresp.window import WINDOWS, WindowConfig
from jaxresp.workdir import claim, sole_user

#: Called with (protocol, what it is doing, fraction of the audit done).
Progress = Callable[[str, str, float], None]


@dataclass(frozen=True)
class AuditConfig:
    """What is audited. Nothing is tuned: every protocol trains with the same settings.

    Attributes:
        task: its name.
        features: name of the front end.
        band: name of the band that it hears.
        n_folds: patient-disjoint folds.
        copies: augmented copies of each window, in the protocols that augment.
        overlap_share: of the patients with several recordings, how many are left in on both sides.
        window: how recordings, cycles or events are cut; None for what suits the unit of the task (WINDOWS).
        filters: of the network's first block.
        dense: units of its dense layer.
        training: how it is fitted.
        seed: of folds, copies, weights and intervals.
    """

    task: str = "binary"
    features: str = "logmel"
    band: str = "wide"
    n_folds: int = 3
    copies: int = 3
    overlap_share: float = 0.25
    window: WindowConfig | None = None
    filters: int = 16
    dense: int = 128
    training: TrainConfig = field(default_factory=TrainConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        task_named(self.task)  # raises with the nearest name
        for wrong, what in (
            (self.n_folds < 2, f"n_folds is {self.n_folds}; it takes 2"),
            (self.copies < 1, f"copies is {self.copies}; it takes 1 for augmentation to mean anything"),
            (not 0 < self.overlap_share <= 1, f"overlap_share is {self.overlap_share}; it lies above 0, up to 1"),
            (min(self.filters, self.dense) < 1, f"network has {self.filters} filters and {self.dense} dense units"),
            (self.seed < 0, f"the seed is {self.seed}; it cannot be negative"),
        ):
            if wrong:
                raise AuditError(f"an audit's {what}")
        self.frontend()  # raises what it has to say about its name or its band

    @property
    def cut(self) -> WindowConfig:
        """How what the task asks about is cut."""
        return self.window or WINDOWS[task_named(self.task).unit]

    def frontend(self) -> FrontEnd:
        """The front end."""
        return frontend_named(self.features)(band=self.band)


def audit(
    corpus: Corpus,
    out: Path,
    config: AuditConfig,
    *,
    faults: tuple[str, ...] = (),
    progress: Progress = lambda protocol, what, done: None,
) -> Audit:
    """Train under the honest protocol and under each fault, and tell what each adds.

    Args:
        corpus: of whole recordings; what the task asks about is trained on and tested.
        out: the folder; the same one continues, and takes more faults.
        config: what is audited.
        faults: names of faults; all that this corpus and task allow where none is given.
        progress: called as it goes.

    Raises:
        AuditError: an unknown fault, or none that can be committed here.
        SplitError: too few patients for the folds.
        WorkdirInUse, WorkdirMismatch: the folder is another's.
    """
    asked = faults_named(faults)
    task = task_named(config.task)
    identity, corpus = corpus_identity(corpus), units(corpus, task)
    labels = corpus.labels(task)
    split = cross_validation(corpus.patient, labels, task.classes, n_folds=config.n_folds, seed=config.seed)
    reasons = {fault.name: _why_not(fault, corpus, labels, task, config) for fault in asked}
    impossible = {name: why for name, why in reasons.items() if why is not None}
    committed = tuple(fault for fault in asked if fault.name not in impossible)
    if not committed:
        raise AuditError(
            f"{corpus.name}, task {task.name}: none of these faults can be committed: "
            + "; ".join(f"{name}: {why}" for name, why in impossible.items())
        )
    with sole_user(out, out / "answers"):
        mine = {"config": asdict(config), "corpus": identity, "jax": jax.__version__}
        claim(out / "config.json", mine)  # answers of other settings must not be taken for these
        protocols = [name for name in HONEST if name in {fault.against for fault in committed}]
        protocols += [fault.name for fault in committed if fault.leaks != "scoring"]
        answers = _answers(corpus, split, labels, task, out, config, protocols, progress)
        found = tuple(_finding(fault, answers, task, config) for fault in committed)
        result = Audit(
            task=task.name,
            features=config.features,
            corpus=identity,
            settings=_settings(config),
            n_units=len(labels),
            n_patients=len(set(corpus.patient.tolist())),
            findings=found,
            impossible=impossible,
        )
        write_whole(out / "audit.json", json.dumps(result.to_json(), indent=2) + "\n")
        write_whole(out / "audit.md", markdown(result))
        progress("all protocols", "finished", 1.0)
    return result


def recordings_of(names: Shaped[np.ndarray, " units"]) -> Shaped[np.ndarray, " units"]:
    """The recording that each unit is, or is cut from."""
    return np.array([recording_of(name) for name in names.tolist()])


def _answers(
    corpus: Corpus,
    split: Split,
    labels: np.ndarray,
    task: Task,
    out: Path,
    config: AuditConfig,
    protocols: list[str],
    progress: Progress,
) -> Mapping[str, Answers]:
    """The answers of every protocol, trained where they are not there yet, and always read from their file."""
    files = {protocol: out / "answers" / f"{protocol}.csv" for protocol in protocols}
    missing = [protocol for protocol in protocols if not files[protocol].is_file()]
    audited = _audited(corpus, split, labels, task, config, missing, progress) if missing else None
    for i, protocol in enumerate(missing):

        def part(what: str, done: float, protocol: str = protocol, i: int = i) -> None:
            progress(protocol, what, (i + done) / len(missing))

        assert audited is not None
        probabilities, fold_of = train_and_answer(audited, protocol, part)
        table = answers_table(corpus.recording, corpus.patient, labels, probabilities, fold_of, task.classes)
        write_whole(files[protocol], table)
    return {protocol: read_answers(file.read_text(), str(file)) for protocol, file in files.items()}


def _audited(
    corpus: Corpus,
    split: Split,
    labels: np.ndarray,
    task: Task,
    config: AuditConfig,
    protocols: list[str],
    progress: Progress,
) -> Audited:
    frontend = config.frontend()
    augmented = any(name in protocols for name in ("honest-augmented", "augmented-before-split"))
    progress("features", "computing", 0.0)
    bank = build_bank(
        corpus,
        frontend,
        config.cut,
        variants=config.copies if augmented or frontend.augments else 0,
        seed=config.seed,
        augmentation=None if frontend.augments else AugmentConfig(),
    )
    copies = bank.features[:, 1:]
    if not frontend.augments:  # the house trains it on clean windows
        bank = type(bank)(bank.features[:, :1], bank.recording, bank.n_recordings)
    return Audited(
        bank=bank,
        copies=copies,
        labels=labels,
        recordings=recordings_of(corpus.recording),
        patients=corpus.patient,
        task=task,
        network=NetworkConfig(frontend.network, config.filters, config.dense),
        training=_training(config),
        split=split,
        overlap_share=config.overlap_share,
    )


def _training(config: AuditConfig) -> TrainConfig:
    return TrainConfig(**(config.training.to_dict() | {"seed": config.seed}))


def _finding(fault: Fault, answers: Mapping[str, Answers], task: Task, config: AuditConfig) -> Finding:
    right = answers[fault.against]
    if fault.leaks == "scoring":
        return lenient_finding(fault, right, task, seed=config.seed)
    touched = None
    if fault.name == "overlapping-patients":
        touched = overlapping_patients(
            right.patients, recordings_of(right.recordings), config.overlap_share, config.seed
        )
    return finding(fault, right, answers[fault.name], touched=touched, seed=config.seed)


def _why_not(fault: Fault, corpus: Corpus, labels: np.ndarray, task: Task, config: AuditConfig) -> str | None:
    """Why a fault cannot be committed on this corpus and task, if so."""
    if fault.leaks == "scoring":
        return why_not_lenient(task)
    if fault.leaks == "patient" and len(np.unique(corpus.patient)) == len(np.unique(recordings_of(corpus.recording))):
        return "every patient has one recording, so that none can stand on two sides"
    if fault.name == "smote-before-split":
        windows, _ = window_index(corpus.offsets, corpus.rate_hz, config.cut)
        count = np.bincount(labels[windows], minlength=len(task.classes))
        if len(set(count.tolist())) == 1:
            return "every class has as many windows as the others, so that SMOTE makes nothing"
    return None


def _settings(config: AuditConfig) -> dict[str, Any]:
    """What stands beside the numbers."""
    training = config.training
    return {
        "split": f"{config.n_folds} patient-disjoint folds",
        "network": config.frontend().network,
        "filters": config.filters,
        "dense": config.dense,
        "learning rate": training.learning_rate,
        "dropout": training.dropout,
        "epochs at most": training.max_epochs,
        "copies": config.copies,
        "band": config.band,
        "overlap share": config.overlap_share,
        "seed": config.seed,
    }
