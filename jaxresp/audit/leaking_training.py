"""Networks trained as nobody should: under every fault, and as it should be, for the leakage audit and nothing else.

`jaxresp.sweep` takes nothing but a Split that proves itself, and stays so; this calls `jaxresp.train.fit` past it. What
it trains is asked for its answers and thrown away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int32, Shaped

from jaxresp import models
from jaxresp.audit.faults import AuditError
from jaxresp.balance import smote
from jaxresp.evaluate.metrics import confusion_matrix, macro_log_loss, rates
from jaxresp.features import FeatureBank
from jaxresp.models import NetworkConfig
from jaxresp.splits import Split
from jaxresp.splits.grouped import train_and_validation
from jaxresp.splits.leaking import leaking_split_for_the_leakage_audit
from jaxresp.taxonomy import Task
from jaxresp.train import Standardisation, TrainConfig, fit, fit_standardisation, predict, standardise

#: Called with a line of progress: (what, fraction of the protocol done).
Report = Callable[[str, float], None]


@dataclass(frozen=True)
class Audited:
    """One network with settings that stay the same, and all it is trained on.

    Attributes:
        bank: features of the windows of every unit (recording or cycle), as the house trains on them.
        copies: augmented copies of every window; as many as the protocols with augmentation are to have.
        labels: class of every unit.
        recordings: the recording that each unit is of, or is.
        patients: of every unit.
        task: the question.
        network: architecture.
        training: settings.
        split: the honest one: folds by patient that test every unit once.
        overlap_share: of the patients with several recordings, how many are left in on both sides.

    Raises:
        AuditError: a split that is not such.
    """

    bank: FeatureBank
    copies: Float32[np.ndarray, "windows copies frames coefficients"]
    labels: Int32[np.ndarray, " units"]
    recordings: Shaped[np.ndarray, " units"]
    patients: Shaped[np.ndarray, " units"]
    task: Task
    network: NetworkConfig
    training: TrainConfig
    split: Split
    overlap_share: float

    def __post_init__(self) -> None:
        self.split.assert_proven(self.patients)
        folds, kind = len(self.split.folds), self.split.kind
        if kind != "patient_disjoint" or folds < 2 or len(self.split.tested) != len(self.labels):
            raise AuditError(
                f"the split {self.split.name!r} ({kind}, {folds} folds) tests {len(self.split.tested)} of "
                f"{len(self.labels)} units; an audit needs folds by patient that test every unit once"
            )

    @property
    def overlapping(self) -> Bool[np.ndarray, " units"]:
        """The units of the patients who are left in on both sides; see `overlapping_patients`."""
        return overlapping_patients(self.patients, self.recordings, self.overlap_share, self.training.seed)


@dataclass(frozen=True)
class _Plan:
    """One training: what it sees, who chooses its epoch, whom it answers for. Rows are units of its own bank."""

    bank: FeatureBank
    labels: Int32[np.ndarray, " units"]
    training: TrainConfig
    train: Int[np.ndarray, " n_train"]
    chooses: Int[np.ndarray, " n_chooses"]
    tested: Int[np.ndarray, " n_tested"]
    standardisation: Standardisation | None = None
    criterion: Callable[[np.ndarray, np.ndarray], float] = macro_log_loss


def train_and_answer(
    audited: Audited, protocol: str, report: Report = lambda what, done: None
) -> tuple[Float[np.ndarray, "units classes"], Int[np.ndarray, " units"]]:
    """Probabilities of every unit under one protocol, and the fold that tested it.

    Args:
        audited: what is trained.
        protocol: a key of HONEST, or a fault that trains.
        report: progress.

    Raises:
        NonFiniteLoss: as `fit` does.
        AuditError: nobody is left to choose the epoch.
    """
    n_folds = len(audited.split.folds)
    probabilities = np.full((len(audited.labels), len(audited.task.classes)), np.nan)
    fold_of = np.full(len(audited.labels), -1)
    graph, _ = models.create(audited.network, audited.bank.features.shape[-1], audited.task.n_outputs, seed=0)
    for k, plan in enumerate(_PLANS[protocol](audited)):

        def on_epoch(epoch: int, losses: dict[str, float], k: int = k) -> None:
            report(f"fold {k + 1}/{n_folds}, epoch {epoch}", (k + epoch / audited.training.max_epochs) / n_folds)

        if not plan.chooses.size:
            raise AuditError(f"{protocol}, fold {k}: no patient is left to choose the epoch; use more patients")
        fitted = fit(
            plan.bank,
            plan.labels,
            audited.task,
            audited.network,
            replace(plan.training, seed=plan.training.seed + 1000 * k),
            train=plan.train,
            validation=plan.chooses,
            on_epoch=on_epoch,
            criterion=plan.criterion,
            standardisation=plan.standardisation,
        )
        logits = predict(graph, fitted.weights, fitted.standardisation, plan.bank, plan.tested)
        probabilities[plan.tested], fold_of[plan.tested] = np.asarray(models.probabilities(logits)), k
    return probabilities, fold_of


def overlapping_patients(
    patients: Shaped[np.ndarray, " units"], recordings: Shaped[np.ndarray, " units"], share: float, seed: int
) -> Bool[np.ndarray, " units"]:
    """The units of some of the patients with several recordings, of one at least, whatever the order of the rows."""
    pairs = {(str(patient), str(recording)) for patient, recording in zip(patients, recordings, strict=True)}
    names, n_recordings = np.unique([patient for patient, _ in pairs], return_counts=True)
    several = names[n_recordings > 1]
    n = min(max(1, round(share * len(several))), len(several))
    return np.isin(patients.astype(str), np.random.default_rng(seed).permutation(several)[:n])


def _honest(audited: Audited) -> Iterator[_Plan]:
    for fold in audited.split.folds:
        yield _Plan(audited.bank, audited.labels, audited.training, fold.train, fold.validation, fold.test)


def _by_recording(audited: Audited) -> Iterator[_Plan]:
    names, first, of_unit = np.unique(audited.recordings, return_index=True, return_inverse=True)
    dealt = leaking_split_for_the_leakage_audit(
        names,
        audited.patients[first],
        audited.labels[first],
        n_folds=len(audited.split.folds),
        seed=audited.training.seed,
    )
    for plan, fold in zip(_honest(audited), dealt.leaking_folds, strict=True):
        seen = np.flatnonzero(np.isin(of_unit, fold.leaking_train))
        # As if every recording had a patient of its own.
        train, chooses = train_and_validation(audited.recordings, audited.labels, seen, seed=audited.training.seed)
        tested = np.flatnonzero(np.isin(of_unit, fold.leaking_test))
        yield replace(plan, train=train, chooses=chooses, tested=tested)


def _overlapping(audited: Audited) -> Iterator[_Plan]:
    """Every second recording of a patient on both sides is tested one fold later, and his others are trained on."""
    folds, patients, both = audited.split.folds, audited.patients, audited.overlapping
    tested_in = np.empty(len(patients), np.int64)
    for k, fold in enumerate(folds):
        tested_in[fold.test] = k
    for patient in np.unique(patients[both]):
        his = np.flatnonzero(patients == patient)
        later = np.isin(audited.recordings[his], np.unique(audited.recordings[his])[1::2])
        tested_in[his[later]] = (tested_in[his[later]] + 1) % len(folds)
    for k, (plan, fold) in enumerate(zip(_honest(audited), folds, strict=True)):
        tested = np.flatnonzero(tested_in == k)
        left_in = np.flatnonzero(both & np.isin(patients, patients[tested]) & (tested_in != k))
        yield replace(
            plan,
            train=np.union1d(np.setdiff1d(fold.train, tested), left_in),
            chooses=np.setdiff1d(fold.validation, np.union1d(tested, left_in)),
            tested=tested,
        )


def _augmented(audited: Audited, *, leaking: bool) -> Iterator[_Plan]:
    """Clean windows stay on their side; each copy is a unit of its own, dealt with its patient or by chance."""
    bank, n_units, n_copies = audited.bank, len(audited.labels), audited.copies.shape[1]
    copies = audited.copies.reshape(-1, 1, *audited.copies.shape[2:])
    copy_of = np.repeat(bank.recording, n_copies)
    everything = FeatureBank(
        np.concatenate([bank.features[:, :1], copies]),
        np.concatenate([bank.recording, n_units + np.arange(len(copies), dtype=np.int32)]),
        n_units + len(copies),
    )
    labels = np.concatenate([audited.labels, audited.labels[copy_of]])
    rng = np.random.default_rng(audited.training.seed)
    for plan in _honest(audited):
        own = np.flatnonzero(np.isin(copy_of, plan.train))
        dealt = rng.permutation(len(copies))[: own.size] if leaking else own
        yield replace(plan, bank=everything, labels=labels, train=np.concatenate([plan.train, n_units + dealt]))


def _smote(audited: Audited) -> Iterator[_Plan]:
    for plan in _honest(audited):
        yield replace(plan, bank=_clean(audited.bank), training=replace(audited.training, balance="smote"))


def _smote_first(audited: Audited) -> Iterator[_Plan]:
    """Rows made from the whole corpus, as many of each class in training as SMOTE would make there."""
    bank, n_units, n_classes = _clean(audited.bank), len(audited.labels), len(audited.task.classes)
    by, of_window = fit_standardisation(bank.clean), audited.labels[bank.recording]
    scaled = np.asarray(standardise(bank.clean, by))
    made, made_labels = smote(scaled.reshape(len(scaled), -1), of_window, bank.recording, seed=audited.training.seed)
    rows = made.reshape(-1, 1, *scaled.shape[1:]) * by.std + by.mean
    everything = FeatureBank(
        np.concatenate([bank.features, rows.astype(np.float32)]),
        np.concatenate([bank.recording, n_units + np.arange(len(rows), dtype=np.int32)]),
        n_units + len(rows),
    )
    labels = np.concatenate([audited.labels, made_labels])
    rng = np.random.default_rng(audited.training.seed)
    for plan in _honest(audited):
        of_train = bank.windows_of(plan.train)
        have = np.bincount(of_window[of_train], minlength=n_classes)
        order = rng.permutation(len(rows))
        taken = [order[made_labels[order] == c][: int(np.max(have)) - int(have[c])] for c in range(n_classes)]
        yield replace(
            plan,
            bank=everything,
            labels=labels,
            training=replace(audited.training, balance="none"),
            train=np.concatenate([plan.train, n_units + np.concatenate(taken)]),
            standardisation=fit_standardisation(bank.clean[of_train]),
        )


def _epoch_on_test(audited: Audited) -> Iterator[_Plan]:
    """All epochs are run, and of them the one kept that the tested patients like best."""

    def criterion(labels: np.ndarray, probabilities: np.ndarray) -> float:
        confusion = confusion_matrix(labels, probabilities.argmax(1), probabilities.shape[1])
        return -float(rates(confusion).balanced_accuracy)

    training = replace(audited.training, patience=audited.training.max_epochs)
    for plan in _honest(audited):
        yield replace(plan, chooses=plan.tested, training=training, criterion=criterion)


def _normalised_on_all(audited: Audited) -> Iterator[_Plan]:
    by = fit_standardisation(audited.bank.clean)
    for plan in _honest(audited):
        yield replace(plan, standardisation=by)


def _clean(bank: FeatureBank) -> FeatureBank:
    return replace(bank, features=bank.features[:, :1])


_PLANS: Mapping[str, Callable[[Audited], Iterator[_Plan]]] = {
    "honest": _honest,
    "honest-augmented": lambda audited: _augmented(audited, leaking=False),
    "honest-smote": _smote,
    "split-by-recording": _by_recording,
    "overlapping-patients": _overlapping,
    "augmented-before-split": lambda audited: _augmented(audited, leaking=True),
    "smote-before-split": _smote_first,
    "epoch-on-test": _epoch_on_test,
    "normalised-on-all": _normalised_on_all,
}
