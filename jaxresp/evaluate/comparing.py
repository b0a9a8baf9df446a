"""Models side by side, on the same samples of the same patients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from jaxresp.evaluate.answers import Answers, check_comparable
from jaxresp.evaluate.bootstrap import Difference, paired_differences


@dataclass(frozen=True)
class Comparison:
    """By how much each model's headline metrics exceed those of one of them.

    Attributes:
        what: the question they answer.
        reference: name of the model that the others are held against.
        n_patients: the patients all of them answered for.
        differences: model → metric → difference with its interval.
    """

    what: str
    reference: str
    n_patients: int
    differences: Mapping[str, Mapping[str, Difference]]

    def to_json(self) -> dict[str, Any]:
        """Plain types; what is undefined is null."""
        plain = asdict(self)
        plain["differences"] = {
            model: {name: [None if np.isnan(x) else x for x in each] for name, each in told.items()}
            for model, told in self.differences.items()
        }
        return plain

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Comparison:
        told = {
            model: {
                name: Difference(*(float("nan") if x is None else float(x) for x in each))
                for name, each in those.items()
            }
            for model, those in data["differences"].items()
        }
        return cls(data["what"], data["reference"], data["n_patients"], told)


def compare(what: str, answers: Mapping[str, Answers], *, seed: int = 0) -> Comparison:
    """Paired bootstrap of every model against the first one.

    Raises:
        EvaluationError: they did not answer the same question about the same recordings; see `check_comparable`.
    """
    (reference, first), *others = answers.items()
    differences = {}
    for name, each in others:
        check_comparable(first, each)
        differences[name] = paired_differences(
            first.labels, each.probabilities, first.probabilities, first.patients, seed=seed
        )
    return Comparison(what, reference, len(set(first.patients.tolist())), differences)
