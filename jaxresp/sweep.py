"""Hyper-parameter search by Optuna, inside the folds of a patient-disjoint cross-validation.

Every trial trains one network per fold and is scored on that fold's validation patients. A fold then answers for its
test patients with the trial that its own validation preferred: no setting, no epoch and no weight in an out-of-fold
answer was chosen by the patients it is about. (Optuna's first ten proposals look at no score at all; in longer
studies the sampler sees the mean over folds, which may carry a trace of one fold's test patients from another fold's
validation: the report says so.)

A finished trial is a folder of its own, written whole, so that a killed study continues after its last one.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from flax import nnx
from jaxtyping import Float32, Int32

from jaxresp.features import FeatureBank
from jaxresp.files import whole_directory
from jaxresp.importance import write_importances
from jaxresp.models import NetworkConfig, create, storage
from jaxresp.pooling import pool
from jaxresp.splits import Fold, Split, SplitError
from jaxresp.taxonomy import Task
from jaxresp.train import Fit, TrainConfig, embed_windows, fit, from_arrays, predict_windows, to_arrays

#: Proposals before Optuna's TPE (Bergstra et al., NeurIPS 2011) starts to look at scores.
STARTUP_TRIALS = 10


@dataclass(frozen=True)
class SearchSpace:
    """The original project's search space.

    Attributes:
        filters: of the first block.
        dense: units: lowest, highest, step.
        dropout: lowest, highest probability.
        learning_rate: lowest, highest; drawn on a log scale.
    """

    filters: tuple[int, ...] = (16, 32, 64)
    dense: tuple[int, int, int] = (64, 256, 32)
    dropout: tuple[float, float] = (0.1, 0.5)
    learning_rate: tuple[float, float] = (1e-4, 1e-2)

    def holds(self, settings: dict[str, Any]) -> bool:
        """Whether these settings could be drawn."""
        low, high, step = self.dense
        return (
            settings["filters"] in self.filters
            and settings["dense"] in range(low, high + 1, step)
            and self.dropout[0] <= settings["dropout"] <= self.dropout[1]
            and self.learning_rate[0] <= settings["learning_rate"] <= self.learning_rate[1]
        )

    def settings(self, trial: optuna.Trial) -> dict[str, Any]:
        low, high, step = self.dense
        return {
            "filters": trial.suggest_categorical("filters", self.filters),
            "dense": trial.suggest_int("dense", low, high, step=step),
            "dropout": trial.suggest_float("dropout", *self.dropout),
            "learning_rate": trial.suggest_float("learning_rate", *self.learning_rate, log=True),
        }


@dataclass(frozen=True)
class Problem:
    """What is tuned: one task on one front end's features.

    Attributes:
        name: of the study.
        bank: features of the corpus.
        labels: class of every recording.
        task: the question.
        network: the architecture whose widths are tuned.
        training: the settings that are not tuned, and the first trial's.
        split: who trains, validates and is tested.

    Raises:
        SplitError: the split is none (a leaking one, say), or of other recordings.
    """

    name: str
    bank: FeatureBank
    labels: Int32[np.ndarray, " recordings"]
    task: Task
    network: NetworkConfig
    training: TrainConfig
    split: Split

    def __post_init__(self) -> None:
        if not isinstance(self.split, Split):
            raise SplitError(
                f"{self.name} is tuned and trained on a Split, which proves that nobody is on two sides; "
                f"a {type(self.split).__name__} does not"
            )
        if len(self.split.patients) != len(self.labels):
            raise SplitError(
                f"{self.name}: a split of {len(self.split.patients)} recordings does not divide {len(self.labels)}"
            )

    @property
    def folds(self) -> tuple[Fold, ...]:
        return self.split.folds


@dataclass(frozen=True)
class Trial:
    """One setting, trained once per fold."""

    number: int
    network: NetworkConfig
    training: TrainConfig
    fits: tuple[Fit, ...]
    pruned: str = ""

    @property
    def score(self) -> float:
        """Mean validation loss (class-balanced log loss) of the folds; lower is better."""
        return float(np.mean([each.score for each in self.fits]))

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "filters": self.network.filters,
            "dense": self.network.dense,
            "dropout": self.training.dropout,
            "learning_rate": self.training.learning_rate,
        }


#: Called with a line of progress: (what, fraction of the study done).
Report = Callable[[str, float], None]


def sweep(
    problem: Problem,
    folder: Path,
    *,
    n_trials: int,
    space: SearchSpace | None = None,
    storage_url: str | None = None,
    report: Report = lambda what, done: None,
    on_trial: Callable[[Trial], None] = lambda trial: None,
) -> tuple[Trial, ...]:
    """Run, or continue, a study until it has `n_trials` trials. The first one has the default settings.

    Args:
        problem: what to tune.
        folder: where the study and its trials are kept.
        n_trials: in all.
        space: what to search.
        storage_url: Optuna storage; SQLite in the folder by default.
        report: progress.
        on_trial: called once for every finished trial, also for those of a study that is continued.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    database = optuna.storages.RDBStorage(storage_url or f"sqlite:///{folder / 'study.db'}")
    try:
        study = optuna.create_study(
            study_name=problem.name, storage=database, direction="minimize", load_if_exists=True
        )
        trials = _continue(study, problem, folder, n_trials, space or SearchSpace(), report, on_trial)
        write_importances(study, folder / "importance.json")
        return trials
    finally:
        database.remove_session()
        database.engine.dispose()


def best_trial(trials: tuple[Trial, ...]) -> Trial:
    """The settings of the released network: lowest mean validation loss."""
    return min(trials, key=lambda trial: (trial.score, trial.number))


def out_of_fold_windows(
    problem: Problem, trials: tuple[Trial, ...], side: Literal["test", "validation"] = "test"
) -> Float32[np.ndarray, "windows outputs"]:
    """Logits of every window of the tested recordings; NaN for those of recordings that no fold tests.

    The network and its settings were chosen without the recording's patient (where a published split has him on both
    sides, without the recording). The validation side of a fold stopped its training, and is asked for only where no
    other held-out answers can calibrate.
    """
    logits = np.full((len(problem.bank.recording), problem.task.n_outputs), np.nan, np.float32)
    for k, fold in enumerate(problem.folds):
        chosen = _chosen(trials, k)
        each = chosen.fits[k]
        rows = problem.bank.windows_of(getattr(fold, side))
        graph = _graph(problem, chosen.network)
        logits[rows] = predict_windows(graph, each.weights, each.standardisation, problem.bank, rows)
    return logits


def fold_embeddings(problem: Problem, trials: tuple[Trial, ...]) -> Iterator[Float32[np.ndarray, "recordings dense"]]:
    """For each fold, what its chosen network makes of every recording before its last layer: the mean of its windows.

    Of each fold's own network: the activations of two networks have nothing to do with each other.
    """
    every = np.arange(len(problem.bank.recording))
    for k in range(len(problem.folds)):
        chosen = _chosen(trials, k)
        fitted = chosen.fits[k]
        windows = embed_windows(
            _graph(problem, chosen.network), fitted.weights, fitted.standardisation, problem.bank, every
        )
        yield pool(windows, problem.bank.recording, problem.bank.n_recordings)


def _chosen(trials: tuple[Trial, ...], fold: int) -> Trial:
    """The trial that a fold's own validation preferred."""
    return min(trials, key=lambda trial: (trial.fits[fold].score, trial.number))


def out_of_fold_logits(problem: Problem, trials: tuple[Trial, ...]) -> Float32[np.ndarray, "recordings outputs"]:
    """Logits of every tested recording, pooled over its windows of `out_of_fold_windows`; NaN for the others."""
    return pool(out_of_fold_windows(problem, trials), problem.bank.recording, problem.bank.n_recordings)


def fit_final(problem: Problem, trials: tuple[Trial, ...], report: Report = lambda what, done: None) -> Fit:
    """The best settings on all patients who train or validate in some fold, for the median of the folds' best epochs.

    Nothing is stopped, or chosen, by what it is fitted on; and nobody is fitted on who is only tested.
    """
    best = best_trial(trials)
    epochs = int(np.median([each.best_epoch for each in best.fits]))
    return fit(
        problem.bank,
        problem.labels,
        problem.task,
        best.network,
        best.training,
        train=problem.split.fitted,
        epochs=epochs,
        on_epoch=lambda epoch, losses: report(f"final fit, epoch {epoch}/{epochs}", epoch / epochs),
    )


def _continue(
    study: optuna.Study,
    problem: Problem,
    folder: Path,
    n_trials: int,
    space: SearchSpace,
    report: Report,
    on_trial: Callable[[Trial], None],
) -> tuple[Trial, ...]:
    for left in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(left.number, state=optuna.trial.TrialState.FAIL)  # a killed run's; its place is taken anew
    trials = [_load(problem, folder / f"trial-{n}", n) for n in range(len(_finished(study)))]
    for trial in trials:
        on_trial(trial)
    for number in range(len(trials), n_trials):
        # The sampler is seeded by the place in the study: a continued study proposes what an unbroken one would.
        study.sampler = optuna.samplers.TPESampler(
            seed=_seed(problem, number), n_startup_trials=STARTUP_TRIALS, multivariate=True
        )
        settings = _defaults(problem)
        waiting = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.WAITING,))
        if number == 0 and space.holds(settings) and not waiting:  # one may wait since a run was killed just here
            study.enqueue_trial(settings)
        asked = study.ask()
        if number > 0 or space.holds(settings):  # else the defaults are tried without Optuna knowing what they are
            settings = space.settings(asked)
        fits = _fit_folds(problem, settings, f"trial {number + 1}/{n_trials}", number / n_trials, 1 / n_trials, report)
        trial = Trial(number, *_configured(problem, settings), fits)
        _save(trial, folder / f"trial-{number}")
        study.tell(asked, trial.score)
        trials.append(trial)
        on_trial(trial)
        best = min(t.score for t in trials)
        report(f"trial {number + 1}/{n_trials}: loss {trial.score:.3f}, best {best:.3f}", (number + 1) / n_trials)
    return tuple(trials)


def _finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))


def _defaults(problem: Problem) -> dict[str, Any]:
    return {
        "filters": problem.network.filters,
        "dense": problem.network.dense,
        "dropout": problem.training.dropout,
        "learning_rate": problem.training.learning_rate,
    }


def _configured(problem: Problem, settings: dict[str, Any]) -> tuple[NetworkConfig, TrainConfig]:
    network = replace(problem.network, filters=settings["filters"], dense=settings["dense"])
    return network, replace(problem.training, dropout=settings["dropout"], learning_rate=settings["learning_rate"])


def _seed(problem: Problem, number: int) -> int:
    words = [problem.training.seed, number, *problem.name.encode()]
    return int(np.random.SeedSequence(words).generate_state(1)[0])


def _fit_folds(
    problem: Problem, settings: dict[str, Any], title: str, done: float, share: float, report: Report
) -> tuple[Fit, ...]:
    network, training = _configured(problem, settings)
    fits = []
    for k, fold in enumerate(problem.folds):
        part = share / len(problem.folds)

        def on_epoch(epoch: int, losses: dict[str, float], k: int = k, part: float = part) -> None:
            what = f"{title}, fold {k + 1}/{len(problem.folds)}, epoch {epoch}, loss {losses['validation_loss']:.3f}"
            report(what, done + part * (k + epoch / training.max_epochs))

        fits.append(
            fit(
                problem.bank,
                problem.labels,
                problem.task,
                network,
                replace(training, seed=training.seed + 1000 * k),  # folds are told apart by more than their patients
                train=fold.train,
                validation=fold.validation,
                on_epoch=on_epoch,
            )
        )
    return tuple(fits)


def _graph(problem: Problem, network: NetworkConfig) -> nnx.GraphDef:
    return create(network, problem.bank.features.shape[-1], problem.task.n_outputs, seed=0)[0]


def _save(trial: Trial, folder: Path) -> None:
    summary = {
        "settings": trial.settings,
        "score": trial.score,
        "folds": [
            {"score": each.score, "best_epoch": each.best_epoch, "history": list(each.history)} for each in trial.fits
        ],
    }
    with whole_directory(folder) as partial:
        (partial / "trial.json").write_text(json.dumps(summary, indent=2) + "\n")
        for k, each in enumerate(trial.fits):
            (partial / f"fold-{k}.npz").write_bytes(storage.pack(to_arrays(each.weights, each.standardisation)))


def _load(problem: Problem, folder: Path, number: int) -> Trial:
    summary = json.loads((folder / "trial.json").read_text())
    network, training = _configured(problem, summary["settings"])
    fits = []
    for k, fold in enumerate(summary["folds"]):
        arrays = storage.unpack((folder / f"fold-{k}.npz").read_bytes())
        _, weights, by = from_arrays(arrays, network, problem.bank.features.shape[-1], problem.task.n_outputs)
        fits.append(Fit(weights, by, fold["best_epoch"], fold["score"], tuple(fold["history"])))
    return Trial(number, network, training, tuple(fits))
