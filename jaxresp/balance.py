"""What to do about rare classes, on training rows only: class weights, even draws, and SMOTE."""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32, Int

#: What is done about rare classes.
#:
#: * class_weights: every row is shown once an epoch, and those of a rare class count more.
#: * balanced_sampling: an epoch is as long as without, but classes take even shares of it: rows of a rare class return,
#:   and of a frequent one others are shown in every epoch.
#: * oversampling: every row is shown, and those of rare classes again until classes are even; each time as another
#:   augmented variant, and under other masks.
#: * smote: rare classes are filled up with examples between their own; on clean windows.
#: * none: classes count as often as they are.
Balance = Literal["class_weights", "balanced_sampling", "oversampling", "smote", "none"]

# Rows whose distances to a class are held at once, and rows that are held in float64 beside them.
_BLOCK = 512


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


def even_order(labels: Int[np.ndarray, " n"], size: int, rng: np.random.Generator) -> Int[np.ndarray, " size"]:
    """Rows in random order of which every class present has an even share, give or take one.

    Within a class, no row is shown again before every other one was.
    """
    present = np.unique(labels)
    share, rest = divmod(size, present.size)
    more = rng.permutation(present.size) < rest  # who has one row more is drawn
    chosen = [
        _in_turns(np.flatnonzero(labels == label), share + int(extra), rng)
        for label, extra in zip(present, more, strict=True)
    ]
    return rng.permutation(np.concatenate(chosen))


def _in_turns(rows: Int[np.ndarray, " n"], size: int, rng: np.random.Generator) -> Int[np.ndarray, " size"]:
    turns = [rng.permutation(rows) for _ in range(-(-size // rows.size))]
    return np.concatenate([rows[:0], *turns])[:size]


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
    missing = np.max(counts) - counts
    made = np.empty((missing.sum(), features.shape[1]), np.float32)
    end = np.cumsum(missing)
    for label, first, last in zip(classes, (end - missing).tolist(), end.tolist(), strict=True):
        if first == last:
            continue
        rows = np.flatnonzero(labels == label)
        if rows.size == 1:
            warnings.warn(
                f"SMOTE: class {int(label)} has a single training example; it is repeated {last - first} times",
                SingleExampleWarning,
                stacklevel=2,
            )
        neighbours, n_valid = _neighbours(features, rows, recording, n_neighbours)
        base = rng.integers(rows.size, size=last - first)
        chosen = neighbours[base, rng.integers(n_valid[base])]
        step = rng.uniform(size=(last - first, 1))
        for block in _blocks(last - first):
            start = features[rows[base[block]]].astype(np.float64)
            made[first:last][block] = start + step[block] * (features[rows[chosen[block]]] - start)
    return made, np.repeat(classes, missing)


def _neighbours(
    features: Float[np.ndarray, "rows d"], rows: Int[np.ndarray, " n"], recording: Int[np.ndarray, " rows"], k: int
) -> tuple[Int[np.ndarray, "n k"], Int[np.ndarray, " n"]]:
    """Each row's neighbours, nearest first, and how many of them may be used (at least one: itself if alone).

    In blocks: neither all distances nor a copy of the features in float64 is ever held.
    """
    n = rows.size
    if n == 1:
        return np.zeros((1, 1), np.int64), np.ones(1, np.int64)
    k = min(k, n - 1)
    nearest, n_valid = np.empty((n, k), np.int64), np.empty(n, np.int64)
    own = recording[rows]
    squares = np.concatenate([(_block(features, rows, each) ** 2).sum(1) for each in _blocks(n)])
    for block in _blocks(n):
        x = _block(features, rows, block)
        distance = np.empty((len(x), n))
        for other in _blocks(n):
            products = x @ _block(features, rows, other).T
            distance[:, other] = squares[block, None] + squares[None, other] - 2 * products
        at = np.arange(len(x))
        distance[at, at + block.start] = np.inf
        same = own[block, None] == own[None, :]
        has_others = ~same.all(1)
        distance[same & has_others[:, None]] = np.inf
        n_valid[block] = np.minimum(k, np.isfinite(distance).sum(1))
        for j in range(k):  # the first of equals, as a stable sort would have it
            nearest[block, j] = distance.argmin(1)
            distance[at, nearest[block, j]] = np.inf
    return nearest, n_valid


def _blocks(n: int) -> list[slice]:
    return [slice(start, min(start + _BLOCK, n)) for start in range(0, n, _BLOCK)]


def _block(
    features: Float[np.ndarray, "rows d"], rows: Int[np.ndarray, " n"], block: slice
) -> Float[np.ndarray, "block d"]:
    return features[rows[block]].astype(np.float64)
