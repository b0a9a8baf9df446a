"""Which training windows make up each batch."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Int, Int32

from jaxresp.balance import class_weights, smote
from jaxresp.features import FeatureBank
from jaxresp.taxonomy import Task
from jaxresp.train.config import TrainConfig
from jaxresp.train.fitted import Standardisation, standardise


class Sampler:
    """Batches of training windows: standardised, weighted or topped up by SMOTE, reshuffled every epoch.

    The last batch of an epoch is filled from the front of its order, so that every batch has one shape.
    """

    def __init__(
        self,
        bank: FeatureBank,
        labels: Int32[np.ndarray, " recordings"],
        task: Task,
        config: TrainConfig,
        rows: np.ndarray,
        by: Standardisation,
    ):
        self.batch_size, self.seed = config.batch_size, config.seed
        x = np.asarray(standardise(bank.features[rows], by))
        y = labels[bank.recording[rows]]
        self.weights = np.ones(len(task.classes), np.float32)
        if config.balance == "class_weights":
            self.weights = class_weights(y, len(task.classes))
        elif config.balance == "smote":  # on clean windows only: an example between two distorted ones is neither
            x = x[:, :1]
            made, made_labels = smote(x.reshape(len(x), -1), y, bank.recording[rows], seed=config.seed)
            x = np.concatenate([x, made.reshape(-1, *x.shape[1:])])
            y = np.concatenate([y, made_labels])
        self.x, self.y = jnp.asarray(x), y
        self.steps = -(-len(y) // self.batch_size)
        self._epoch = 0
        self._draw(1)

    def _draw(self, epoch: int) -> None:
        if epoch == self._epoch:
            return
        rng = np.random.default_rng([self.seed, epoch])
        order = np.resize(rng.permutation(len(self.y)), self.steps * self.batch_size)
        variant = rng.integers(self.x.shape[1], size=order.size)
        self._epoch, self._order, self._variant = epoch, order, variant

    def batch(self, epoch: int, step: int) -> tuple[Array, Int32[np.ndarray, " batch"], Float32[np.ndarray, " batch"]]:
        self._draw(epoch)
        here = slice(step * self.batch_size, (step + 1) * self.batch_size)
        rows = self._order[here]
        return _take(self.x, rows, self._variant[here]), self.y[rows], self.weights[self.y[rows]]


@jax.jit
def _take(
    x: Float32[Array, "n variants frames coefficients"], rows: Int[Array, " batch"], variant: Int[Array, " batch"]
) -> Float32[Array, "batch frames coefficients"]:
    return x[rows, variant]
