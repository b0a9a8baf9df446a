"""One network, fitted: the jitted step, early stopping, and the weights that were best.

The step is compiled once per network shape: learning rate, dropout and weight decay are traced, so that a sweep over
them compiles nothing. It is called from a Python loop because XLA runs convolutions inside `lax.scan` on a CPU five to
fifteen times slower than outside it; dispatch is asynchronous, and nothing is read back before the epoch ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Float32, Int, Int32, PRNGKeyArray

from jaxresp import models
from jaxresp.balance import Balance, class_weights, smote
from jaxresp.errors import JaxrespError
from jaxresp.evaluate.metrics import macro_log_loss
from jaxresp.features import FeatureBank
from jaxresp.models import NetworkConfig, Weights, storage
from jaxresp.pooling import pool
from jaxresp.taxonomy import Task

_EVALUATION_CHUNK = 64


class NonFiniteLoss(JaxrespError):
    """Training diverged."""


@dataclass(frozen=True)
class TrainConfig:
    """How one network is fitted.

    Attributes:
        learning_rate: of Adam (Kingma & Ba, ICLR 2015); 1e-3 is its default.
        dropout: probability that a dense unit is zeroed.
        weight_decay: decoupled (Loshchilov & Hutter, ICLR 2019); small, the corpora are small.
        batch_size: windows per step; the original project's 32.
        max_epochs: passes over the training windows at most; the original project's 50.
        patience: epochs without a lower validation loss before stopping; the original project's 5.
        balance: "class_weights", "smote", or "none".
        seed: initial weights, order, dropout, SMOTE.
    """

    learning_rate: float = 1e-3
    dropout: float = 0.3
    weight_decay: float = 1e-4
    batch_size: int = 32
    max_epochs: int = 50
    patience: int = 5
    balance: Balance = "class_weights"
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be positive, got {self.learning_rate}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is a probability below 1, got {self.dropout}")
        if min(self.batch_size, self.max_epochs, self.patience) < 1:
            raise ValueError("batch_size, max_epochs and patience must be at least 1")
        if self.balance not in get_args(Balance):
            raise ValueError(f"balance is one of {', '.join(get_args(Balance))}, got {self.balance!r}")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Standardisation(NamedTuple):
    """Mean and standard deviation of every coefficient, fitted on clean training windows."""

    mean: Float32[np.ndarray, " coefficients"]
    std: Float32[np.ndarray, " coefficients"]


@dataclass(frozen=True)
class Fit:
    """A fitted network.

    Attributes:
        weights: of the best epoch.
        standardisation: of its input features.
        best_epoch: 1 for the first.
        score: validation loss (class-balanced log loss of recordings) at that epoch; NaN without validation.
        history: training and validation loss of every epoch run.
    """

    weights: Weights
    standardisation: Standardisation
    best_epoch: int
    score: float
    history: tuple[dict[str, float], ...] = field(default=(), compare=False)


def to_arrays(weights: Weights, by: Standardisation) -> dict[str, np.ndarray]:
    """What a fitted network is made of, by name."""
    return storage.to_arrays(weights) | {"standardisation/mean": by.mean, "standardisation/std": by.std}


def from_arrays(
    arrays: Mapping[str, np.ndarray], network: NetworkConfig, n_coefficients: int, n_outputs: int
) -> tuple[nnx.GraphDef, Weights, Standardisation]:
    """Inverse of `to_arrays`, given the architecture.

    Raises:
        WeightsMismatch: arrays that do not fit it.
    """
    own = dict(arrays)
    try:
        by = Standardisation(own.pop("standardisation/mean"), own.pop("standardisation/std"))
    except KeyError as error:
        raise storage.WeightsMismatch(f"the stored arrays lack {error}") from error
    return *storage.from_arrays(own, network, n_coefficients, n_outputs), by


class _State(NamedTuple):
    weights: Weights
    optimiser: optax.OptState
    loss: Float32[Array, ""]


def fit_standardisation(features: Float32[np.ndarray, "n frames coefficients"]) -> Standardisation:
    """Per-coefficient mean and standard deviation over windows and frames; a constant coefficient is left unscaled."""
    mean = features.mean((0, 1), dtype=np.float64)
    std = features.std((0, 1), dtype=np.float64)
    return Standardisation(mean.astype(np.float32), np.where(std > 1e-6, std, 1.0).astype(np.float32))


def standardise(
    features: Float[Array | np.ndarray, "*n frames coefficients"], by: Standardisation
) -> Float[Array | np.ndarray, "*n frames coefficients"]:
    """Features in units of the training rows' standard deviation, around their mean."""
    return (features - by.mean) / by.std


@partial(jax.jit, static_argnames="graph")
def window_logits(
    graph: nnx.GraphDef, weights: Weights, by: Standardisation, features: Float32[Array, "n frames coefficients"]
) -> Float32[Array, "n outputs"]:
    """Features → logits as served."""
    return models.apply(graph, weights, jnp.asarray(standardise(features, by)))


@partial(jax.jit, static_argnames="graph")
def _window_embedding(
    graph: nnx.GraphDef, weights: Weights, by: Standardisation, features: Float32[Array, "n frames coefficients"]
) -> Float32[Array, "n dense"]:
    return models.embed(graph, weights, jnp.asarray(standardise(features, by)))


@partial(jax.jit, static_argnames="graph", donate_argnames="state")
def _train_step(
    state: _State,
    x: Float32[Array, "batch frames coefficients"],
    labels: Int32[Array, " batch"],
    weight: Float32[Array, " batch"],
    key: PRNGKeyArray,
    learning_rate: Float32[Array, ""],
    dropout: Float32[Array, ""],
    weight_decay: Float32[Array, ""],
    *,
    graph: nnx.GraphDef,
) -> _State:
    def loss_of(params: nnx.State) -> tuple[Float32[Array, ""], nnx.State]:
        weights = Weights(params, state.weights.batch_stats)
        logits, batch_stats = models.apply_training(graph, weights, x, key=key, dropout_rate=dropout)
        return (weight * _losses(logits, labels)).mean(), batch_stats

    (loss, batch_stats), gradients = jax.value_and_grad(loss_of, has_aux=True)(state.weights.params)
    updates, optimiser = _optimiser(learning_rate, weight_decay).update(
        gradients, state.optimiser, state.weights.params
    )
    params = optax.apply_updates(state.weights.params, updates)
    return _State(Weights(params, batch_stats), optimiser, state.loss + loss)


def _optimiser(learning_rate: Any, weight_decay: Any) -> optax.GradientTransformation:
    return optax.adamw(learning_rate, weight_decay=weight_decay)


def _losses(logits: Float32[Array, "n outputs"], labels: Int32[Array, " n"]) -> Float32[Array, " n"]:
    """Binary cross-entropy of a single logit, else cross-entropy."""
    if logits.shape[-1] == 1:
        return optax.sigmoid_binary_cross_entropy(logits[:, 0], labels.astype(jnp.float32))
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def fit(
    bank: FeatureBank,
    labels: Int32[np.ndarray, " recordings"],
    task: Task,
    network: NetworkConfig,
    config: TrainConfig,
    *,
    train: np.ndarray,
    validation: np.ndarray | None = None,
    epochs: int | None = None,
    on_epoch: Callable[[int, dict[str, float]], None] = lambda epoch, losses: None,
    criterion: Callable[[np.ndarray, np.ndarray], float] = macro_log_loss,
    standardisation: Standardisation | None = None,
) -> Fit:
    """Fit one network.

    Args:
        bank: features of the whole corpus; only the rows of `train` and `validation` are looked at.
        labels: class of every recording of the corpus; only those of `train` and `validation` are looked at.
        task: how many outputs, and which loss.
        network: architecture.
        config: how to fit.
        train: recordings to fit on.
        validation: recordings whose loss stops the training and chooses the epoch.
        epochs: instead of validation, exactly this many epochs.
        on_epoch: called after every epoch with its number and its losses.
        criterion: labels and probabilities of the validation recordings → what is lowest in the best epoch.
        standardisation: instead of one fitted on the rows of `train`. Both are there for the leakage audit, which does
            what nobody should.

    Raises:
        NonFiniteLoss: training diverged; names the epoch and the remedy.
        ValueError: neither or both of validation and epochs given.
    """
    if (validation is None) == (epochs is None):
        raise ValueError("give either validation recordings or a number of epochs")
    rows = bank.windows_of(train)
    by = standardisation or fit_standardisation(bank.clean[rows])
    sampler = _Sampler(bank, labels, task, config, rows, by)
    graph, weights = models.create(network, bank.features.shape[-1], task.n_outputs, config.seed)
    state = _State(weights, _optimiser(0.0, 0.0).init(weights.params), jnp.zeros(()))
    traced = [np.float32(value) for value in (config.learning_rate, config.dropout, config.weight_decay)]
    dropout_key = jax.random.key(config.seed)

    best, best_epoch, best_score, history = weights, 0, np.inf, []
    for epoch in range(1, (epochs or config.max_epochs) + 1):
        state = state._replace(loss=jnp.zeros(()))
        for step in range(sampler.steps):
            key = jax.random.fold_in(jax.random.fold_in(dropout_key, epoch), step)
            state = _train_step(state, *sampler.batch(epoch, step), key, *traced, graph=graph)
        losses = {"train_loss": float(state.loss) / sampler.steps}
        if not np.isfinite(losses["train_loss"]):
            raise NonFiniteLoss(
                f"the training loss became {losses['train_loss']} in epoch {epoch} "
                f"(learning rate {config.learning_rate:g}, {rows.size} windows); use a lower learning rate"
            )
        if validation is not None:
            logits = predict(graph, state.weights, by, bank, validation)
            losses["validation_loss"] = criterion(labels[validation], np.asarray(models.probabilities(logits)))
            if not np.isfinite(losses["validation_loss"]):
                raise NonFiniteLoss(f"the validation loss became {losses['validation_loss']} in epoch {epoch}")
        history.append(losses)
        on_epoch(epoch, losses)
        score = losses.get("validation_loss", np.nan)
        if validation is None or score < best_score:
            # A copy, since the next step donates its input buffers.
            best, best_epoch, best_score = jax.tree.map(jnp.copy, state.weights), epoch, score
        elif epoch - best_epoch >= config.patience:
            break
    return Fit(best, by, best_epoch, float(best_score), tuple(history))


def predict(
    graph: nnx.GraphDef, weights: Weights, by: Standardisation, bank: FeatureBank, recordings: np.ndarray
) -> Float32[np.ndarray, "recordings outputs"]:
    """Logits of recordings, pooled over their windows, in the order given."""
    rows = bank.windows_of(recordings)
    position = np.full(bank.n_recordings, -1)
    position[recordings] = np.arange(recordings.size)
    logits = predict_windows(graph, weights, by, bank, rows)
    return pool(logits, position[bank.recording[rows]], recordings.size)


def predict_windows(
    graph: nnx.GraphDef, weights: Weights, by: Standardisation, bank: FeatureBank, rows: np.ndarray
) -> Float32[np.ndarray, "rows outputs"]:
    """Logits of some windows of the bank, in the order given."""
    return _in_chunks(window_logits, graph, weights, by, bank, rows)


def embed_windows(
    graph: nnx.GraphDef, weights: Weights, by: Standardisation, bank: FeatureBank, rows: np.ndarray
) -> Float32[np.ndarray, "rows dense"]:
    """Activations before the last layer of some windows of the bank, in the order given."""
    return _in_chunks(_window_embedding, graph, weights, by, bank, rows)


def _in_chunks(
    answer: Callable[..., Float32[Array, "n outputs"]],
    graph: nnx.GraphDef,
    weights: Weights,
    by: Standardisation,
    bank: FeatureBank,
    rows: np.ndarray,
) -> Float32[np.ndarray, "rows outputs"]:
    chunks = []
    for start in range(0, rows.size, _EVALUATION_CHUNK):
        chunk = rows[start : start + _EVALUATION_CHUNK]
        filled = np.resize(chunk, _EVALUATION_CHUNK)  # one compiled shape
        chunks.append(np.asarray(answer(graph, weights, by, bank.clean[filled]))[: chunk.size])
    return np.concatenate(chunks)


class _Sampler:
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
