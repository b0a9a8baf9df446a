"""Pooled logits of a unit → the probabilities that are answered, the classes that cannot be ruled out, and when no
answer is given.

Fitted by jaxresp.evaluate.calibrating on answers about patients that the networks had not seen; applied here, in the
same way offline and served.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32

from jaxresp.errors import JaxrespError
from jaxresp.models import probabilities


class InvalidPrevalence(JaxrespError):
    """Prevalences that are no shares of the classes."""


@dataclass(frozen=True)
class Conformal:
    """For every class, how improbable it may be and still not be ruled out.

    Attributes:
        miscoverage: of patients of a class, the share at most whose own class is ruled out: α.
        thresholds: a class stays while 1 − its probability is at most this; None where too few patients were there to
            promise anything, so that the class always stays.
        patients: calibration patients of each class; 1/α − 1 are needed.
    """

    miscoverage: float
    thresholds: tuple[float | None, ...]
    patients: tuple[int, ...]

    def keeps(self, probability: Float[np.ndarray, "units classes"]) -> Bool[np.ndarray, "units classes"]:
        """Which classes cannot be ruled out."""
        limit = np.array([math.inf if each is None else each for each in self.thresholds])
        return 1 - probability <= limit


@dataclass(frozen=True)
class Calibration:
    """Softmax of (logits / temperature + class bias), after Guo et al., ICML 2017. The defaults change nothing.

    Attributes:
        method: how it was fitted; "identity" when it was not.
        temperature: above 1 makes answers less sure.
        class_bias: added log odds by class; empty means none. Holds the prior correction: networks are trained as if
            all classes were equally frequent.
        abstain_below: no label is given when the largest probability is lower.
        fitted_prevalence: share of the patients of each class that temperature and bias were fitted on.
        prevalence: share of the patients of each class that answers are for; empty means the fitted one.
        conformal: what is promised of sets of classes; None when nothing is.
    """

    method: str = "identity"
    temperature: float = 1.0
    class_bias: tuple[float, ...] = ()
    abstain_below: float = 0.0
    fitted_prevalence: tuple[float, ...] = ()
    prevalence: tuple[float, ...] = ()
    conformal: Conformal | None = None

    def probabilities(self, logits: Float[np.ndarray, "units outputs"]) -> Float32[np.ndarray, "units classes"]:
        """Calibrated probabilities of every class, at the prevalence that answers are for."""
        return self._softmax(logits, self._shift())

    def possible(self, logits: Float[np.ndarray, "units outputs"]) -> Bool[np.ndarray, "units classes"] | None:
        """Which classes cannot be ruled out; None when nothing was promised. No prevalence changes it."""
        return None if self.conformal is None else self.conformal.keeps(self._softmax(logits, 0.0))

    def withheld(self, probability: Float[np.ndarray, " classes"]) -> str | None:
        """Why no label is given to these probabilities, or None."""
        unsure = probability.max() < self.abstain_below
        return f"no class is more probable than {self.abstain_below:.2f}" if unsure else None

    def at_prevalence(self, classes: Sequence[str], prevalence: Mapping[str, float]) -> Calibration:
        """The same calibration where the classes are otherwise frequent, by Bayes' rule (Saerens et al., 2002).

        Args:
            classes: of the task, in order.
            prevalence: class → its share of the patients who will be examined.

        Raises:
            InvalidPrevalence: not every class has a positive share, they do not sum to 1, or none is known to start
                from.
        """
        if not self.fitted_prevalence:
            raise InvalidPrevalence(
                "this Classifier was not calibrated, so it is not known which prevalence its answers are for; "
                "train it again with `jaxresp run`"
            )
        shares = [float(prevalence.get(name, math.nan)) for name in classes]
        strangers = sorted(set(prevalence) - set(classes))
        if strangers or not all(share > 0 for share in shares) or abs(sum(shares) - 1) > 1e-6:
            raise InvalidPrevalence(
                f"prevalences {dict(prevalence)} are no shares of {', '.join(classes)}; "
                "give each class a share above 0, 1 in all"
            )
        return replace(self, prevalence=tuple(shares))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Calibration:
        """Inverse of `to_dict`, also after JSON has made lists of the tuples."""
        plain: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()
        }
        sets = plain.pop("conformal", None)
        if sets is not None:
            sets = Conformal(sets["miscoverage"], tuple(sets["thresholds"]), tuple(sets["patients"]))
        return cls(**plain, conformal=sets)

    def _shift(self) -> Float32[np.ndarray, " classes"] | float:
        """Log odds from the fitted prevalence to the one that answers are for."""
        if not self.prevalence:
            return 0.0
        return np.log(np.divide(self.prevalence, self.fitted_prevalence)).astype(np.float32)

    def _softmax(self, logits: np.ndarray, shift: np.ndarray | float) -> Float32[np.ndarray, "units classes"]:
        if logits.shape[-1] == 1:
            logits = np.concatenate([np.zeros_like(logits), logits], axis=-1)
        bias = np.asarray(self.class_bias or [0.0] * logits.shape[-1], np.float32)
        return np.asarray(probabilities(logits / np.float32(self.temperature) + (bias + shift)), np.float32)
