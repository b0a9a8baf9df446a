"""Pooled logits of a unit → the probabilities that are answered, and when no answer is given."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from jaxresp.models import probabilities


@dataclass(frozen=True)
class Calibration:
    """Softmax of (logits / temperature + class bias), after Guo et al., ICML 2017. The defaults change nothing.

    Attributes:
        method: how it was fitted; "identity" when it was not.
        temperature: above 1 makes answers less sure.
        class_bias: added log odds by class, for prevalences other than training's; empty means none.
        abstain_below: no label is given when the largest probability is lower.
    """

    method: str = "identity"
    temperature: float = 1.0
    class_bias: tuple[float, ...] = ()
    abstain_below: float = 0.0

    def probabilities(self, logits: Float[np.ndarray, "units outputs"]) -> Float32[np.ndarray, "units classes"]:
        """Calibrated probabilities of every class."""
        if logits.shape[-1] == 1:
            logits = np.concatenate([np.zeros_like(logits), logits], axis=-1)
        bias = np.asarray(self.class_bias or [0.0] * logits.shape[-1], np.float32)
        return np.asarray(probabilities(logits / np.float32(self.temperature) + bias))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
