"""Logits per window → logits per unit (recording, patient)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def pool(
    logits: Float[np.ndarray, "windows outputs"], unit: Int[np.ndarray, " windows"], n_units: int
) -> Float[np.ndarray, "units outputs"]:
    """The mean logit of each unit's windows: the geometric mean of the windows' odds.

    Args:
        logits: one row per window.
        unit: the unit each window belongs to, in [0, n_units).
        n_units: how many units there are; each needs at least one window.

    Raises:
        ValueError: a unit without a window, or a window of a unit that is not there.
    """
    count = np.bincount(unit, minlength=n_units)
    if count.size > n_units:
        raise ValueError(f"a window belongs to unit {count.size - 1}, and there are {n_units} (numbered from 0)")
    if (count == 0).any():
        raise ValueError(f"{int((count == 0).sum())} of {n_units} units have no window to answer from")
    # Summed in float64: the order of the windows must not show in the answer.
    total = np.stack([np.bincount(unit, weights=column, minlength=n_units) for column in logits.T], axis=1)
    return (total / count[:, None]).astype(np.float32)
