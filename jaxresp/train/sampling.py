"""Which training windows make up each batch."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Sharding
from jaxtyping import Int, Int32

from jaxresp.balance import class_weights, even_order, smote
from jaxresp.features import FeatureBank
from jaxresp.taxonomy import Task
from jaxresp.train.config import TrainConfig
from jaxresp.train.fitted import Standardisation, standardise


class Plan(NamedTuple):
    """One epoch: rows of a Sampler, and which variant of each is shown."""

    rows: Int32[np.ndarray, "steps batch"]
    variant: Int32[np.ndarray, "steps batch"]


class Sampler:
    """Training windows, standardised and on the device, and the order in which each epoch shows them.

    The last batch of an epoch is filled from the front of its order, so that every batch has one shape.

    Attributes:
        y: [n] class of each row.
        weights: [classes] how much a row of each class counts.
        recording: [n] recording of the bank that each row was cut from; −1 for a made-up row.
        source: [all, variants, frames, coefficients] on the device, as computed: the bank's own windows, shared by all
            samplers of a bank. SMOTE leaves their clean variant only, and adds rows.
        place: [n] where each row is in `source`.
        by: what standardises it.
        steps: batches in an epoch.
    """

    def __init__(
        self,
        bank: FeatureBank,
        labels: Int32[np.ndarray, " recordings"],
        task: Task,
        config: TrainConfig,
        rows: np.ndarray,
        by: Standardisation,
        *,
        sharding: Sharding | None = None,
    ):
        self._config = config
        self.recording, self.place, self.by = bank.recording[rows], rows, by
        self.y = labels[self.recording]
        self.source = bank.placed(sharding)
        self.weights = np.ones(len(task.classes), np.float32)
        if config.balance == "smote":  # on clean windows only: an example between two distorted ones is neither
            clean = np.asarray(standardise(bank.clean[rows], by))
            made, made_labels = smote(clean.reshape(len(rows), -1), self.y, self.recording, seed=config.seed)
            as_computed = made.reshape(-1, 1, *clean.shape[1:]) * by.std + by.mean
            self.source = jnp.concatenate([self.source[:, :1], jax.device_put(as_computed, sharding)])
            self.place = np.concatenate([rows, len(bank.recording) + np.arange(len(made))])
            self.y = np.concatenate([self.y, made_labels])
            self.recording = np.concatenate([self.recording, np.full(len(made), -1, self.recording.dtype)])
        if config.balance == "class_weights":
            self.weights = class_weights(self.y, len(task.classes))
        self.steps = -(-len(self._order(np.random.default_rng(0))) // config.batch_size)

    def plan(self, epoch: int) -> Plan:
        """What an epoch shows: a function of the seed and the epoch alone."""
        rng = np.random.default_rng([self._config.seed, epoch])
        order = np.resize(self._order(rng), self.steps * self._config.batch_size)
        n_variants = self.source.shape[1]
        variant = rng.integers(n_variants, size=order.size)
        if self._config.balance in ("balanced_sampling", "oversampling"):
            variant = (variant[order] + _repetition(order)) % n_variants  # a window that returns does so as another
        shape = (self.steps, self._config.batch_size)
        return Plan(order.astype(np.int32).reshape(shape), variant.astype(np.int32).reshape(shape))

    def _order(self, rng: np.random.Generator) -> Int[np.ndarray, " shown"]:
        if self._config.balance == "balanced_sampling":
            return even_order(self.y, len(self.y), rng)
        if self._config.balance == "oversampling":
            counts = np.bincount(self.y)
            return even_order(self.y, int(np.max(counts)) * int(np.count_nonzero(counts)), rng)
        return rng.permutation(len(self.y))


def _repetition(order: Int[np.ndarray, " shown"]) -> Int[np.ndarray, " shown"]:
    """How often each entry has stood in the order before."""
    by_row = np.argsort(order, kind="stable")
    sorted_rows = order[by_row]
    first = np.searchsorted(sorted_rows, sorted_rows)
    times = np.empty_like(order)
    times[by_row] = np.arange(order.size) - first
    return times
