"""When a trial is given up before its end.

Trials are compared at equal training: the same folds, the same epochs of each, a fold that has ended counting whole.
What is compared is the mean over these folds of the lowest validation loss so far. Fold after fold is trained, so most
of what is pruned has cost a few epochs of one fold.

The first trial is never pruned, since the winner stands beside it; and no test side is looked at.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jaxresp.errors import JaxrespError

#: Validation loss of every epoch, by fold.
Curves = Sequence[Sequence[float]]


class UnknownPruning(JaxrespError):
    """No way to prune has this name."""


@dataclass(frozen=True)
class Rival:
    """Another trial of the study.

    Attributes:
        number: its place in the study.
        curves: what it has reached.
        finished: whether it ran to its end.
    """

    number: int
    curves: Curves
    finished: bool


def reached(curves: Curves, epochs: Sequence[int]) -> float:
    """Mean over the first folds of the lowest loss in so many epochs of each; NaN where it has not come so far."""
    if len(curves) < len(epochs) or not all(curves[k] for k in range(len(epochs))):
        return float("nan")
    return float(np.mean([min(curve[:n]) for curve, n in zip(curves, epochs, strict=False)]))


@dataclass
class MedianPruning:
    """Given up when worse than the median of the finished trials (Golovin et al., KDD 2017).

    Attributes:
        startup_trials: that must have finished before.
        warmup_epochs: of each fold, in which nothing is given up: a small learning rate begins slowly.
    """

    startup_trials: int = 5
    warmup_epochs: int = 5

    def behind(self, mine: Curves, others: Sequence[Rival]) -> bool:
        """Whether a trial that has come so far is to be given up."""
        finished = [rival for rival in others if rival.finished]
        epochs = [len(curve) for curve in mine]
        if len(finished) < self.startup_trials or epochs[-1] < self.warmup_epochs:
            return False
        theirs = [value for rival in finished if not math.isnan(value := reached(rival.curves, epochs))]
        return bool(theirs) and reached(mine, epochs) > float(np.median(theirs))


@dataclass
class HyperbandPruning:
    """Brackets of asynchronous successive halving (Li et al., JMLR 18, 2018; Li et al., MLSys 2020), over one fold.

    A trial belongs to a bracket by its place. In its bracket it must be among the best third of those that have come
    as far, at every rung of the first fold; what is through trains its other folds to their end.

    Attributes:
        number: the trial's place.
        max_epochs: of a fold.
        least_epochs: the first rung of the most eager bracket.
        factor: one of so many goes on, and trains so many times as long.
    """

    number: int
    max_epochs: int
    least_epochs: int = 3
    factor: int = 3

    def __post_init__(self) -> None:
        self._passed = 0

    def bracket_of(self, number: int) -> int:
        """The brackets are dealt out over the places, each as many as it would begin with."""
        last = max(0, int(math.log(self.max_epochs / self.least_epochs, self.factor) + 1e-9))
        sizes = [math.ceil((last + 1) * self.factor ** (last - s) / (last - s + 1)) for s in range(last + 1)]
        # Evenly mixed, so that a short study has some of each.
        order = sorted((((i + 0.5) / size, s) for s, size in enumerate(sizes) for i in range(size)))
        return order[number % len(order)][1]

    def behind(self, mine: Curves, others: Sequence[Rival]) -> bool:
        """Whether a trial that has come so far is to be given up; to be asked after every epoch."""
        bracket = self.bracket_of(self.number)
        rung = self.least_epochs * self.factor ** (bracket + self._passed)
        if rung >= self.max_epochs or len(mine[0]) < rung:
            return False
        self._passed += 1
        here = [r.curves for r in others if r.curves and self.bracket_of(r.number) == bracket]
        theirs = sorted(reached(curves, [rung]) for curves in here if len(curves[0]) >= rung)
        kept = max(1, (len(theirs) + 1) // self.factor)
        return sum(value < reached(mine, [rung]) for value in theirs) >= kept


#: How one trial is judged while it is trained; made anew for each.
Pruning = MedianPruning | HyperbandPruning

#: The first, which is never pruned: its number.
NEVER_PRUNED = 0
PRUNINGS = ("median", "hyperband", "none")


def check_pruning(name: str) -> None:
    """See that there is such a way.

    Raises:
        UnknownPruning: there is none.
    """
    if name not in PRUNINGS:
        raise UnknownPruning(f"there is no pruning {name!r}; choose from {', '.join(PRUNINGS)}")


def pruning_of(name: str, number: int, max_epochs: int) -> Pruning | None:
    """How the trial at a place of the study is judged; None where it never is."""
    check_pruning(name)
    if name == "none" or number == NEVER_PRUNED:
        return None
    return MedianPruning() if name == "median" else HyperbandPruning(number, max_epochs)
