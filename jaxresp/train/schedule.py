"""The learning rate of every step."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int

from jaxresp.train.config import TrainConfig


def learning_rate_at(
    config: TrainConfig, step: Int[np.ndarray, "*steps"] | int, total_steps: int
) -> Float32[np.ndarray, "*steps"]:
    """The learning rates of these steps, on the host: what a compiled step is given is one number.

    A warm-up rises evenly from the first step, which is not at zero; a cosine falls from its end on, and the step after
    the last would be at zero (Loshchilov & Hutter, "SGDR", ICLR 2017, without restarts).

    Args:
        config: schedule, highest rate, epochs of warm-up.
        step: counted from 0 over all epochs.
        total_steps: of `config.max_epochs`, however many of them are run: whatever stops a training early must not
            change the epochs before.
    """
    at = np.asarray(step, np.float64)
    warmup = total_steps * config.warmup_epochs / config.max_epochs
    rate = np.full(at.shape, config.learning_rate)
    if config.schedule == "cosine":
        done = np.clip((at - warmup) / (total_steps - warmup), 0.0, 1.0)
        rate = config.learning_rate * (1 + np.cos(np.pi * done)) / 2
    if warmup > 0:
        rate = np.where(at < warmup, config.learning_rate * np.minimum((at + 1) / warmup, 1.0), rate)
    return np.asarray(rate, np.float32)
