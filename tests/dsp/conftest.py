"""What the golden tests listen to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.signal

RATE_HZ = 16_000


@pytest.fixture(scope="session")
def signals() -> Callable[[int], np.ndarray]:
    """n samples → noise; a chirp over all frequencies; an impulse; silence; a wheeze that comes and goes. [5, n]."""

    def make(n_samples: int) -> np.ndarray:
        rng = np.random.default_rng(0)
        t = np.arange(n_samples) / RATE_HZ
        chirp = scipy.signal.chirp(t, 20.0, 5.0, 7_900.0)
        wheeze = np.sin(2 * np.pi * 400 * t) * (np.sin(2 * np.pi * 0.4 * t) > 0) + 0.05 * rng.standard_normal(n_samples)
        impulse = np.arange(n_samples) == n_samples // 3
        return np.stack([rng.standard_normal(n_samples), chirp, impulse, 0 * t, wheeze]).astype(np.float32)

    return make
