"""Answers decided for a challenge's score, and one network that answers two of its tasks.

A network's calibrated answers are for equally frequent classes. SPRSound's Score counts every recording that is not
normal alike, whatever is wrong with it: so the most probable class is asked for where those classes are as frequent
among each other as in train, and normal ones have a share that is chosen on training patients. A task whose classes
are those of another one put together is answered by that one's networks, by the sum of the probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from jaxresp.evaluate.answers import Answers
from jaxresp.evaluate.calibrating import fit_calibration
from jaxresp.evaluate.metrics import confusion_matrix
from jaxresp.evaluate.scores import challenge_scores, normal_class
from jaxresp.material import Material
from jaxresp.models import storage
from jaxresp.splits.grouped import VALIDATION_FRACTION, train_and_validation
from jaxresp.taxonomy import Task

#: Shares of normal units that are tried.
SHARES = (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7)


def prevalence(labels: Int[np.ndarray, " n"], asked: Task, normal_share: float) -> Float[np.ndarray, " classes"]:
    """The normal class at a share, the others as frequent among each other as in some labels."""
    normal, counts = normal_class(asked), np.bincount(labels, minlength=len(asked.classes)).astype(float)
    counts[normal] = 0.0
    shares = (1 - normal_share) * counts / counts.sum()
    shares[normal] = normal_share
    return shares


def even(labels: Int[np.ndarray, " n"], asked: Task, task: Task) -> Float[np.ndarray, " classes"]:
    """The classes of `task` equally frequent, and what each puts together as frequent as in labels of `asked`."""
    counts = np.bincount(labels, minlength=len(asked.classes)).astype(float)
    merged = _merging(asked, task)
    return counts / (merged @ (merged.T @ counts)) / len(task.classes)


def decided(answers: Answers, shares: Float[np.ndarray, " classes"], asked: Task, task: Task) -> Answers:
    """Answers for equally frequent classes → for these shares, and for the classes of a task.

    Args:
        answers: of networks.
        shares: of each class that they answer.
        asked: what they were trained for.
        task: has the same classes, or some of them as one.
    """
    merged = _merging(asked, task)
    probabilities = (answers.probabilities * shares) @ merged
    probabilities /= probabilities.sum(1, keepdims=True)
    return replace(answers, labels=merged.argmax(1)[answers.labels], probabilities=probabilities, classes=task.classes)


def validated(material: Material, folder: Path, task: Task, n_rounds: int) -> list[Answers]:
    """What the networks of a setting answered in each round of `choosing.choose`, calibrated as in a look.

    A look calibrates on the same patients whom these answers are about.

    Args:
        material: of the training side alone.
        folder: of the setting, with its finished rounds.
        task: what they were asked.
        n_rounds: how many.
    """
    asked = material.rows(task)
    labels, found = asked.labels(task), []
    for k in range(n_rounds):
        logits = storage.unpack((folder / f"round-{k}.npz").read_bytes())["logits"]
        every = np.arange(len(asked))
        _, rows = train_and_validation(asked.patient, labels, every, validation_fraction=VALIDATION_FRACTION, seed=k)
        answered = (asked.recording[rows], asked.patient[rows], labels[rows])
        by = fit_calibration(logits, labels[rows], asked.patient[rows], len(task.classes))
        found.append(Answers(*answered, by.probabilities(logits).astype(float), task.classes))
    return found


def scores_by_share(
    rounds: Sequence[Answers], labels: Int[np.ndarray, " n"], asked: Task, task: Task, score: str
) -> dict[float, float]:
    """Share of normal units → the score of the answers of all rounds.

    Args:
        rounds: answers for equally frequent classes.
        labels: of the training side, by `asked`.
        asked: what the networks were trained for.
        task: what is decided.
        score: one of the challenge's.
    """
    found = {}
    for share in SHARES:
        told = [decided(each, prevalence(labels, asked, share), asked, task) for each in rounds]
        truth = np.concatenate([each.labels for each in told])
        answered = np.concatenate([each.probabilities.argmax(1) for each in told])
        found[share] = challenge_scores(task, confusion_matrix(truth, answered, len(task.classes)))[score]
    return found


def _merging(asked: Task, task: Task) -> Float[np.ndarray, "classes_asked classes"]:
    """One where a class of the one is, or is part of, a class of the other."""
    return np.eye(len(task.classes))[[task.classes.index(task.label_of[name]) for name in asked.classes]]
