"""One trial: a setting, trained once per fold, as a value and as a folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

from jaxresp.files import whole_directory
from jaxresp.frontend import FrontEnd
from jaxresp.models import NetworkConfig, Weights, create, storage
from jaxresp.sweep.problem import Problem
from jaxresp.train import Fit, Standardisation, TrainConfig, fit, from_arrays, to_arrays
from jaxresp.train.population import Member, fit_many, population_pays

#: Of a fit whose weights are not here: a pruned one's are kept nowhere, another machine's only there.
NOWHERE = Weights(nnx.State({}), nnx.State({}))
_NO_STANDARDISATION = Standardisation(np.zeros(0, np.float32), np.ones(0, np.float32))

#: Dense layers up to so many units share a program: compiling one takes seconds, computing with the padding next to
#: nothing. The most that the original space draws.
_SHARED_DENSE = 256

#: Called after every epoch with the fold, the epoch (1 for the first) and its losses. What it raises ends the trial.
OnEpoch = Callable[[int, int, dict[str, float]], None]


@dataclass(frozen=True)
class Trial:
    """One setting, trained once per fold.

    Attributes:
        number: its place in the study; 0 is the first, which has the default settings.
        network: what was trained.
        training: how.
        fits: one per fold; of a pruned one, those that had begun.
        pruned: why it was given up before its end, or "".
        settings: what was searched, by name.
        frontend: whose features it was trained on; None for the problem's own.
    """

    number: int
    network: NetworkConfig
    training: TrainConfig
    fits: tuple[Fit, ...]
    pruned: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    frontend: FrontEnd | None = None

    @property
    def score(self) -> float:
        """Mean validation loss (class-balanced log loss) of the folds; lower is better. NaN of a pruned one."""
        return float("nan") if self.pruned else float(np.mean([each.score for each in self.fits]))

    @property
    def is_here(self) -> bool:
        """Whether its weights are."""
        return not self.pruned and all(each.weights is not NOWHERE for each in self.fits)


def train_trial(
    problem: Problem, number: int, settings: Mapping[str, Any], on_epoch: OnEpoch, checkpoints: Path
) -> Trial:
    """Train a setting: its folds one after the other, or at once where this device gains by it.

    Args:
        problem: what is tuned.
        number: its place in the study.
        settings: what is trained.
        on_epoch: told of every epoch; what it raises passes through.
        checkpoints: a folder of this trial's own, from which a killed one goes on; `clear_checkpoints` once it is kept.
            Folds that are trained at once begin anew.

    Raises:
        NonFiniteLoss: it diverged.
    """
    how = problem.configured(settings)
    bank, configs = problem.bank_of(how.frontend), [fold_training(how.training, k) for k in range(len(problem.folds))]
    if population_pays(how.network, len(problem.folds)):
        members = [
            Member(how.network, config, fold.train, fold.validation)
            for config, fold in zip(configs, problem.folds, strict=True)
        ]
        fits = fit_many(bank, problem.labels, problem.task, members, on_epoch=on_epoch)
    else:
        checkpoints.mkdir(parents=True, exist_ok=True)
        fits = tuple(
            fit(
                bank,
                problem.labels,
                problem.task,
                how.network,
                config,
                train=fold.train,
                validation=fold.validation,
                on_epoch=partial(on_epoch, k),
                checkpoint=checkpoints / f"fold-{k}",
                within=shared_shape(how.network),
            )
            for k, (config, fold) in enumerate(zip(configs, problem.folds, strict=True))
        )
    return Trial(number, how.network, how.training, fits, "", dict(settings), how.frontend)


def shared_shape(network: NetworkConfig) -> NetworkConfig | None:
    """The network that this one and others of its filters are trained in; None where they cannot be."""
    if not network.can_be_padded:
        return None
    return replace(network, dense=_SHARED_DENSE * -(-network.dense // _SHARED_DENSE))


def fold_training(training: TrainConfig, fold: int) -> TrainConfig:
    """Folds are told apart by more than their patients."""
    return replace(training, seed=training.seed + 1000 * fold)


def pruned_trial(
    problem: Problem, number: int, settings: Mapping[str, Any], why: str, histories: list[list[dict[str, float]]]
) -> Trial:
    """A trial that was given up, and how far it came in each fold that had begun."""
    how = problem.configured(settings)
    return Trial(
        number, how.network, how.training, tuple(map(_unfinished, histories)), why, dict(settings), how.frontend
    )


def _unfinished(history: list[dict[str, float]]) -> Fit:
    losses = [each["validation_loss"] for each in history]
    best = int(np.argmin(losses)) if losses else -1
    return _without_weights(best + 1, losses[best] if losses else float("nan"), history)


def _without_weights(best_epoch: int, score: float, history: list[dict[str, float]]) -> Fit:
    return Fit(NOWHERE, _NO_STANDARDISATION, best_epoch, score, tuple(history))


def graph_of(problem: Problem, trial: Trial) -> nnx.GraphDef:
    """The network of a trial, without its weights."""
    n_coefficients = problem.bank_of(trial.frontend).features.shape[-1]
    return create(trial.network, n_coefficients, problem.task.n_outputs, seed=0)[0]


# As a folder, and as the record in the study that all machines see


def record_of(trial: Trial) -> dict[str, Any]:
    """Everything about a trial but its weights, in JSON types."""
    return {
        "settings": dict(trial.settings),
        "pruned": trial.pruned,
        "score": None if trial.pruned else trial.score,
        "folds": [
            {"score": each.score, "best_epoch": each.best_epoch, "history": list(each.history)} for each in trial.fits
        ],
    }


def folder_of(work: Path, number: int) -> Path:
    return work / f"trial-{number}"


def save(trial: Trial, folder: Path) -> None:
    """Write a trial, whole or not at all."""
    with whole_directory(folder) as partial:
        (partial / "trial.json").write_text(json.dumps(record_of(trial), indent=2) + "\n")
        if not trial.pruned:
            for k, each in enumerate(trial.fits):
                (partial / f"fold-{k}.npz").write_bytes(storage.pack(to_arrays(each.weights, each.standardisation)))


def load(problem: Problem, folder: Path, number: int, record: Mapping[str, Any]) -> Trial:
    """A trial from its record, with its weights where the folder holds them for the same record."""
    how = problem.configured(record["settings"])
    file = folder / "trial.json"
    here = file.is_file() and json.loads(file.read_text()) == record
    fits = []
    for k, fold in enumerate(record["folds"]):
        each = _without_weights(fold["best_epoch"], fold["score"], fold["history"])
        if here and not record["pruned"]:
            arrays = storage.unpack((folder / f"fold-{k}.npz").read_bytes())
            shape = (problem.bank_of(how.frontend).features.shape[-1], problem.task.n_outputs)
            _, weights, by = from_arrays(arrays, how.network, *shape)
            each = replace(each, weights=weights, standardisation=by)
        fits.append(each)
    return Trial(
        number, how.network, how.training, tuple(fits), record["pruned"], dict(record["settings"]), how.frontend
    )


def clear_checkpoints(folder: Path) -> None:
    if folder.is_dir():
        shutil.rmtree(folder)
