"""What the tests of augmentation share: tones, and an error where arrays of different rank are mixed unawares."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import jax
import numpy as np
import pytest

RATE_HZ = 16_000


@pytest.fixture(autouse=True)
def _strict_rank_promotion() -> Iterator[None]:
    with jax.numpy_rank_promotion("raise"):
        yield


@pytest.fixture(scope="session")
def tone() -> Callable[..., np.ndarray]:
    """A sinusoid at 16 kHz: tone(frequency_hz, n_samples)."""

    def make(frequency_hz: float, n_samples: int) -> np.ndarray:
        return (0.3 * np.sin(2 * np.pi * frequency_hz * np.arange(n_samples) / RATE_HZ)).astype(np.float32)

    return make
