"""What to do about rare classes, on training rows only: class weights, and SMOTE."""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32, Int

Balance = Literal["class_weights", "smote", "none"]


class SingleExampleWarning(UserWarning):
    """SMOTE met a class with one example and could only repeat it."""


def class_weights(labels: Int[np.ndarray, " n"], n_classes: int) -> Float32[np.ndarray, " classes"]:
    """Weights under which every class present counts the same: n / (present classes · n_class).

    Absent classes weigh nothing. The mean weight over the rows is 1, so that the learning rate keeps its meaning.
    King & Zeng, "Logistic regression in rare events data", Political Analysis 9, 2001.
    """
    count = np.bincount(labels, minlength=n_classes)
    present = count > 0
    weights = np.zeros(n_classes, np.float32)
    weights[present] = labels.size / (present.sum() * count[present])
    return weights


def smote(
    features: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, " n"],
    recording: Int[np.ndarray, " n"],
    *,
    seed: int,
    n_neighbours: int = 5,
) -> tuple[Float32[np.ndarray, "synthetic d"], Int[np.ndarray, " synthetic"]]:
    """Synthetic examples that bring every class up to the largest one.

    Each lies between a row of the class and one of its nearest neighbours (Euclidean), at a uniformly drawn place.
    Neighbours come from other recordings where the class has them: windows of one recording are near-copies.

    Args:
        features: flattened, normalised training rows. Rows of held-out patients have no business here.
        labels: class of each row.
        recording: recording of each row.
        seed: the draws are a function of it and of the rows alone.
        n_neighbours: k of the paper, cut to what the class has.

    Returns:
        The synthetic rows and their labels; the originals are not repeated.

    References:
        Chawla et al., "SMOTE: Synthetic Minority Over-sampling Technique", JAIR 16, 2002.
    """
    rng = np.random.default_rng(seed)
    classes, counts = np.unique(labels, return_counts=True)
    largest = int(np.max(counts))
    made, made_labels = [], []
    for label, count in zip(classes, counts, strict=True):
        missing = largest - int(count)
        if missing == 0:
            continue
        rows = np.flatnonzero(labels == label)
        if rows.size == 1:
            warnings.warn(
                f"SMOTE: class {int(label)} has a single training example; it is repeated {missing} times",
                SingleExampleWarning,
                stacklevel=2,
            )
        neighbours, n_valid = _neighbours(features[rows], recording[rows], n_neighbours)
        base = rng.integers(rows.size, size=missing)
        chosen = neighbours[base, rng.integers(n_valid[base])]
        step = rng.uniform(size=(missing, 1))
        start = features[rows[base]].astype(np.float64)
        made.append((start + step * (features[rows[chosen]] - start)).astype(np.float32))
        made_labels.append(np.full(missing, label, labels.dtype))
    if not made:
        return np.empty((0, features.shape[1]), np.float32), np.empty(0, labels.dtype)
    return np.concatenate(made), np.concatenate(made_labels)


def _neighbours(
    features: Float[np.ndarray, "n d"], recording: Int[np.ndarray, " n"], k: int
) -> tuple[Int[np.ndarray, "n k"], Int[np.ndarray, " n"]]:
    """Each row's neighbours, nearest first, and how many of them may be used (at least one: itself if alone)."""
    n = features.shape[0]
    if n == 1:
        return np.zeros((1, 1), np.int64), np.ones(1, np.int64)
    x = features.astype(np.float64)
    squares = (x**2).sum(1)
    distance = squares[:, None] + squares[None, :] - 2 * x @ x.T
    np.fill_diagonal(distance, np.inf)
    same = recording[:, None] == recording[None, :]
    has_others = ~same.all(1)
    distance[same & has_others[:, None]] = np.inf
    k = min(k, n - 1)
    order = np.argsort(distance, axis=1, kind="stable")[:, :k]
    n_valid = np.minimum(k, np.isfinite(distance).sum(1))
    return order, n_valid
