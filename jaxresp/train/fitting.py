"""One network, fitted: epochs, early stopping, and the weights that were best."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int32

from jaxresp import models
from jaxresp.errors import JaxrespError
from jaxresp.evaluate.metrics import macro_log_loss
from jaxresp.features import FeatureBank
from jaxresp.models import NetworkConfig
from jaxresp.taxonomy import Task
from jaxresp.train.config import TrainConfig
from jaxresp.train.fitted import Fit, Standardisation, fit_standardisation
from jaxresp.train.predicting import predict
from jaxresp.train.sampling import Sampler, take
from jaxresp.train.schedule import learning_rate_at
from jaxresp.train.step import begin, hyper_of, static_of, train_step


class NonFiniteLoss(JaxrespError):
    """Training diverged."""


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
    sampler = Sampler(bank, labels, task, config, rows, by)
    graph, weights = models.create(network, bank.features.shape[-1], task.n_outputs, config.seed)
    state, hyper, static = begin(weights), hyper_of(config, config.learning_rate), static_of(config)
    seed_key = jax.random.key(config.seed)
    total_steps = sampler.steps * config.max_epochs

    best, best_epoch, best_score, history = weights, 0, np.inf, []
    for epoch in range(1, (epochs or config.max_epochs) + 1):
        state = state._replace(loss=jnp.zeros(()))
        plan = sampler.plan(epoch)
        rates = learning_rate_at(config, np.arange(sampler.steps) + (epoch - 1) * sampler.steps, total_steps)
        for step, (shown, variant, rate) in enumerate(zip(*plan, rates, strict=True)):
            key = jax.random.fold_in(jax.random.fold_in(seed_key, epoch), step)
            x, y = take(sampler.x, shown, variant), sampler.y[shown]
            hyper = hyper._replace(learning_rate=rate)
            state = train_step(state, x, y, sampler.weights[y], key, hyper, graph=graph, static=static)
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
