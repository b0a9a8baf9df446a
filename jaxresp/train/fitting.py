"""One network, fitted: epochs, early stopping, and the weights that were best."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Int32

from jaxresp import models
from jaxresp.errors import JaxrespError
from jaxresp.evaluate.metrics import macro_log_loss
from jaxresp.features import FeatureBank
from jaxresp.models import NetworkConfig, Weights
from jaxresp.taxonomy import Task
from jaxresp.train.checkpoint import Checkpoint, Progress, environment_of
from jaxresp.train.config import TrainConfig
from jaxresp.train.diverged import check_features, check_losses, check_validation, check_weights
from jaxresp.train.epoch import run_epoch
from jaxresp.train.fitted import Fit, Standardisation, fit_standardisation
from jaxresp.train.mesh import check_shares, everywhere, home
from jaxresp.train.predicting import predict
from jaxresp.train.sampling import Sampler
from jaxresp.train.schedule import learning_rate_at
from jaxresp.train.stacking import create_padded, cut_to
from jaxresp.train.step import begin, hyper_of, static_of

Criterion = Callable[[np.ndarray, np.ndarray], float]


class EmptySide(JaxrespError):
    """A fold nobody can train or stop on."""


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
    criterion: Criterion = macro_log_loss,
    standardisation: Standardisation | None = None,
    checkpoint: Path | None = None,
    mesh: Mesh | None = None,
    within: NetworkConfig | None = None,
) -> Fit:
    """Fit one network.

    Args:
        bank: features of the whole corpus; only the rows of `train` and `validation` are looked at.
        labels: class of every recording of the corpus; only those of `train` and `validation` are looked at.
        task: how many outputs, and which loss.
        network: architecture.
        config: how to fit.
        train: recordings to fit on.
        validation: recordings whose loss stops the training and chooses the epoch. A class that none of them has is
            left out of that loss, which is a mean over classes.
        epochs: instead of validation, exactly this many epochs.
        on_epoch: called after every epoch with its number and its losses; also for those that a checkpoint brings back.
            What it raises ends the training.
        criterion: labels and probabilities of the validation recordings → what is lowest in the best epoch.
        standardisation: instead of one fitted on the rows of `train`. Both are there for the leakage audit, which does
            what nobody should.
        checkpoint: a file that is kept up to date; where it is there, training goes on from it. On a CPU that gives
            the bits of an unbroken training. Whoever calls removes it once the result is kept. On what is done about
            one that is not ours, not whole, or cannot be written, see `jaxresp.train.checkpoint`.
        mesh: devices that share each batch, from `data_mesh`; one device by default.
        within: a network with a wider dense layer, of which this one is trained as a part (see stacking.py): the same
            up to the order of sums, and networks of several widths share what is compiled.

    Raises:
        NonFiniteLoss: training diverged; names the step, the recordings and the remedy.
        EmptySide: a class of the task has no recording to train on, or there is none to validate on.
        CheckpointMismatch: the checkpoint is another training's.
        MeshError: the batch does not divide among the devices.
        ValueError: neither or both of validation and epochs given.
    """
    if (validation is None) == (epochs is None):
        raise ValueError("give either validation recordings or a number of epochs")
    check_shares(mesh, config.batch_size)
    check_sides(labels, task, train, validation)
    rows = bank.windows_of(train)
    with np.errstate(invalid="ignore", over="ignore"):  # what is no number is named below
        by = standardisation or fit_standardisation(bank.clean[rows])
    check_features(bank, rows, by)
    sampler = Sampler(bank, labels, task, config, rows, by, sharding=everywhere(mesh))
    shape = bank.features.shape[-1], task.n_outputs
    if within is None:
        graph, weights = models.create(network, *shape, config.seed)
    else:
        graph, weights = create_padded(network, within, *shape, config.seed)
    state = jax.device_put(begin(weights), everywhere(mesh))
    key, hyper = jax.device_put((jax.random.key(config.seed), hyper_of(config, np.float32(0))), everywhere(mesh))
    static, total_steps = static_of(config), sampler.steps * config.max_epochs
    progress = Progress(state, _copy(state.weights), 0, np.inf, ())
    keeper = None
    if checkpoint is not None:
        training = _training(bank, labels, task, network, within, config, train, validation, epochs, criterion, by)
        keeper = Checkpoint(checkpoint, training, environment_of(mesh.size if mesh else 1))
        progress = keeper.load(progress) or progress
    for number, losses in enumerate(progress.history, 1):
        on_epoch(number, losses)
    while progress.epoch < (epochs or config.max_epochs):
        if validation is not None and progress.epoch - progress.best_epoch >= config.patience:
            break
        epoch = progress.epoch + 1
        rates = learning_rate_at(config, np.arange(sampler.steps) + (epoch - 1) * sampler.steps, total_steps)
        state, step_losses = run_epoch(
            progress.state, sampler, epoch, key, hyper, rates, graph=graph, static=static, mesh=mesh
        )
        check_losses(step_losses, sampler, epoch, config, bank)
        losses = {"train_loss": float(step_losses.mean(dtype=np.float64))}
        if validation is not None:
            logits = predict(graph, state.weights, by, bank, validation, mesh=mesh)
            losses["validation_loss"] = criterion(labels[validation], np.asarray(models.probabilities(logits)))
            check_validation(losses["validation_loss"], epoch, config)
        score = losses.get("validation_loss", np.nan)
        progress = progress._replace(state=state, history=(*progress.history, losses))
        if validation is None or score < progress.best_score:
            # A copy, on the device, since the next step uses its input up.
            progress = progress._replace(best=_copy(state.weights), best_epoch=epoch, best_score=score)
        if keeper is not None:
            keeper.save(progress)
        on_epoch(epoch, losses)
    best = home(progress.best, mesh)
    if within is not None:
        best = cut_to(best, network, *shape)
    check_weights(best, progress.best_epoch, config)
    return Fit(best, by, progress.best_epoch, float(progress.best_score), progress.history)


def _copy(weights: Weights) -> Weights:
    return jax.tree.map(jnp.copy, weights)


def check_sides(
    labels: Int32[np.ndarray, " recordings"], task: Task, train: np.ndarray, validation: np.ndarray | None
) -> None:
    """A network answers for every class of its task, so it must have heard each."""
    counts = np.bincount(labels[train], minlength=len(task.classes))
    if missing := [name for name, count in zip(task.classes, counts, strict=True) if count == 0]:
        raise EmptySide(
            f"there is no recording of {', '.join(missing)} to train {task.name} on ({len(train)} recordings); "
            "use fewer folds, more data, or a task that merges the rare classes"
        )
    if validation is not None and len(validation) == 0:
        raise EmptySide(f"there is no recording to validate {task.name} on; give a number of epochs instead")


def _training(
    bank: FeatureBank,
    labels: Int32[np.ndarray, " recordings"],
    task: Task,
    network: NetworkConfig,
    within: NetworkConfig | None,
    config: TrainConfig,
    train: np.ndarray,
    validation: np.ndarray | None,
    epochs: int | None,
    criterion: Criterion,
    by: Standardisation,
) -> dict[str, Any]:
    """What makes a training this one and no other."""
    sides = {"train": train} if validation is None else {"train": train, "validation": validation}
    return {
        "configuration": config.to_dict() | {"epochs": epochs},
        "within": None if within is None else within.to_dict(),
        "network": {f"network {name}": value for name, value in network.to_dict().items()},
        "task": [task.name, *task.classes],
        "features": bank.sha256,
        "labels": {f"labels of {side}": _hash(labels[rows]) for side, rows in sides.items()},
        "recordings": {f"recordings of {side}": _hash(rows) for side, rows in sides.items()},
        "standardisation": _hash(*by),
        "criterion": f"{criterion.__module__}.{criterion.__qualname__}",
    }


def _hash(*arrays: np.ndarray) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(each).tobytes() for each in arrays)).hexdigest()
