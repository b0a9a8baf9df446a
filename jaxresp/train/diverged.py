"""What a loss that is no number is reported with: the step, the recordings it saw, and what to do."""

from __future__ import annotations

import jax
import numpy as np
from jaxtyping import Float32, Int

from jaxresp.errors import JaxrespError
from jaxresp.features import FeatureBank
from jaxresp.models import Weights
from jaxresp.train.config import TrainConfig
from jaxresp.train.sampling import Sampler


class NonFiniteLoss(JaxrespError):
    """Training diverged.

    Attributes:
        epoch: 1 for the first.
        step: 1 for the first of the epoch; None where it is not a step's loss.
        recordings: rows of the corpus: of the batch of that step, or those whose own features are no numbers.
    """

    def __init__(self, message: str, *, epoch: int, step: int | None = None, recordings: tuple[int, ...] = ()):
        super().__init__(message)
        self.epoch, self.step, self.recordings = epoch, step, recordings


def check_losses(
    losses: Float32[np.ndarray, " steps"],
    sampler: Sampler,
    epoch: int,
    config: TrainConfig,
    bank: FeatureBank,
) -> None:
    """Whether an epoch's losses are numbers.

    Args:
        losses: of every step.
        sampler: what the batches were drawn from.
        epoch: 1 for the first.
        config: for the message.
        bank: of the recordings.

    Raises:
        NonFiniteLoss: with the first step at which one is not.
    """
    if np.isfinite(losses).all():
        return
    step = int(np.argmin(np.isfinite(losses)))
    shown = sampler.recording[sampler.plan(epoch).rows[step]]
    recordings = tuple(np.unique(shown[shown >= 0]).tolist())  # without those made up
    raise NonFiniteLoss(
        f"the training loss became {losses[step]} in epoch {epoch}, step {step + 1} of {len(losses)}, which saw "
        f"windows of {bank.named(recordings)} {_remedy(config)}",
        epoch=epoch,
        step=step + 1,
        recordings=recordings,
    )


def check_validation(loss: float, epoch: int, config: TrainConfig) -> None:
    """Whether the validation loss is a number; it is not where the epoch's last step spoilt the weights.

    Raises:
        NonFiniteLoss: it is not.
    """
    if not np.isfinite(loss):
        raise NonFiniteLoss(f"the validation loss became {loss} in epoch {epoch} {_remedy(config)}", epoch=epoch)


def check_weights(weights: Weights, epoch: int, config: TrainConfig) -> None:
    """Whether what comes back are numbers: the last step's own loss says nothing of the weights that it leaves.

    Raises:
        NonFiniteLoss: they are not.
    """
    if not all(np.isfinite(each).all() for each in jax.device_get(jax.tree.leaves(weights))):
        raise NonFiniteLoss(f"the weights after epoch {epoch} are not finite {_remedy(config)}", epoch=epoch)


def check_features(bank: FeatureBank, rows: Int[np.ndarray, " rows"], by: tuple[np.ndarray, np.ndarray]) -> None:
    """Whether features are numbers, at the cost of looking at what is fitted on them: one that is not spoils all.

    Raises:
        NonFiniteLoss: with the recordings whose features are not.
    """
    if all(np.isfinite(each).all() for each in by):
        return
    bad = rows[~np.isfinite(bank.clean[rows]).all((1, 2))]
    recordings = tuple(np.unique(bank.recording[bad]).tolist())
    raise NonFiniteLoss(
        f"features of {bank.named(recordings)} are not finite, so that no loss can be; leave these recordings out, or "
        "correct what computes the features",
        epoch=0,
        recordings=recordings,
    )


def _remedy(config: TrainConfig) -> str:
    return f"(learning rate {config.learning_rate:g}); use a lower learning rate, or a clip_norm"
