"""The design space as one table: band × balance × augmentation × features × network, each cell cross-validated.

Every cell is what `jaxresp train` does with default settings: one network per fold, stopped on the fold's validation
patients, its out-of-fold answers calibrated by the other folds. Nothing is tuned, and no cell learns from another.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, get_args

import jax

from jaxresp.balance import Balance
from jaxresp.bands import BANDS
from jaxresp.corpus import Corpus, answered_units
from jaxresp.corpus.recordings import corpus_identity
from jaxresp.dsp.augment import AugmentConfig
from jaxresp.errors import JaxrespError
from jaxresp.evaluate.bootstrap import HEADLINES, headline_intervals
from jaxresp.evaluate.metrics import classification_metrics
from jaxresp.evaluate.result import majority_probabilities
from jaxresp.evaluate.tables import markdown_table
from jaxresp.evaluate.words import number
from jaxresp.features import FeatureBank, build_bank
from jaxresp.files import write_whole
from jaxresp.frontend import frontend_named
from jaxresp.judging import calibrate
from jaxresp.models import NetworkConfig
from jaxresp.splits import cross_validation
from jaxresp.sweep import Problem, out_of_fold_logits, sweep
from jaxresp.taxonomy import task_named
from jaxresp.train import NonFiniteLoss, TrainConfig
from jaxresp.window import WINDOWS
from jaxresp.workdir import claim, sole_user

#: Called with (cell, what it is doing, fraction of the table done).
Progress = Callable[[str, str, float], None]


class DesignError(JaxrespError):
    """A design space that makes no sense."""


@dataclass(frozen=True)
class Axes:
    """What is combined with what.

    Attributes:
        band: names of bands.
        balance: what is done about rare classes.
        augmentation: "off", or "copies": changed copies of each training window.
        features: names of front ends.
        network: names of networks.
    """

    band: tuple[str, ...] = tuple(BANDS)
    balance: tuple[str, ...] = get_args(Balance)
    augmentation: tuple[str, ...] = ("off", "copies")
    features: tuple[str, ...] = ("mfcc", "logmel", "augmented")
    network: tuple[str, ...] = ("cnn1d", "cnn2d")


class Cell(NamedTuple):
    """One combination, in the order in which cells are trained: those of one bank of features after each other."""

    features: str
    band: str
    augmentation: str
    balance: str
    network: str

    @property
    def name(self) -> str:
        return "-".join(self)


@dataclass(frozen=True)
class DesignConfig:
    """What every cell shares.

    Attributes:
        task: its name.
        axes: what is combined.
        n_folds: patient-disjoint folds.
        copies: of each training window, where there are any.
        filters: of the first block.
        dense: units of the dense layer.
        training: how each network is fitted.
        seed: of folds, copies, weights and intervals.
    """

    task: str = "binary"
    axes: Axes = field(default_factory=Axes)
    n_folds: int = 3
    copies: int = 3
    filters: int = 16
    dense: int = 128
    training: TrainConfig = field(default_factory=TrainConfig)
    seed: int = 0


def cells_of(axes: Axes) -> tuple[Cell, ...]:
    """All combinations that there are: SMOTE is made of clean windows, so not with copies.

    Raises:
        DesignError: none is left.
    """
    combined = (
        Cell(*each) for each in product(axes.features, axes.band, axes.augmentation, axes.balance, axes.network)
    )
    cells = tuple(cell for cell in combined if (cell.balance, cell.augmentation) != ("smote", "copies"))
    if not cells:
        raise DesignError("no cell is left: SMOTE is made of clean windows, and does not go with copies")
    return cells


def run_design(
    corpus: Corpus,
    out: Path,
    config: DesignConfig,
    *,
    progress: Progress = lambda cell, what, done: None,
) -> str:
    """Train every cell that is not there yet, and write the table.

    Args:
        corpus: of whole recordings; what the task asks about is trained on and tested.
        out: the folder; the same one continues, and takes more cells.
        config: what is combined, and how.
        progress: called as it goes.

    Returns:
        the table as Markdown.

    Raises:
        DesignError: there is nothing to combine.
        WorkdirInUse, WorkdirMismatch: the folder is another's.
    """
    cells, task = cells_of(config.axes), task_named(config.task)
    identity, (corpus, _) = corpus_identity(corpus), answered_units(corpus, task)
    labels = corpus.labels(task)
    split = cross_validation(corpus.patient, labels, task.classes, n_folds=config.n_folds, seed=config.seed)
    shared = {key: value for key, value in asdict(config).items() if key != "axes"}
    with sole_user(out, out / "cells"):
        claim(out / "design.json", {"config": shared, "corpus": identity, "jax": jax.__version__})
        found: dict[Cell, dict[str, Any]] = {}
        banks = _Banks(corpus, config)
        for i, cell in enumerate(cells):
            file = out / "cells" / f"{cell.name}.json"
            if not file.is_file():

                def part(what: str, fraction: float, cell: Cell = cell, i: int = i) -> None:
                    progress(cell.name, what, (i + fraction) / len(cells))

                part("features", 0.0)
                problem = Problem(
                    name=cell.name,
                    bank=banks.of(cell),
                    labels=labels,
                    task=task,
                    network=NetworkConfig(cell.network, config.filters, config.dense),
                    training=replace(config.training, balance=cell.balance, seed=config.seed),  # type: ignore[arg-type]
                    split=split,
                )
                record = _judged(problem, corpus, out / "cells" / cell.name, config.seed, part)
                write_whole(file, json.dumps(record, indent=2) + "\n")
            found[cell] = json.loads(file.read_text())
        tested = split.tested
        majority = majority_probabilities(labels, split.folds, task)
        chance = classification_metrics(labels[tested], majority[tested]).balanced_accuracy
        n_patients = len(set(corpus.patient[tested].tolist()))
        head = (
            f"{task.name}, {len(tested)} {task.row}s of {n_patients} patients, {config.n_folds} patient-disjoint "
            f"folds; 95 % intervals over patients. The majority class reaches a balanced accuracy of {number(chance)}. "
            "In order of validation loss, which is what a cell may be chosen by: "
            f"the best of {len(cells)} test scores is higher than what it promises."
        )
        table = _markdown(found, head)
        write_whole(out / "design.md", table)
        write_whole(out / "design.csv", _csv(found))
    return table


class _Banks:
    """The features of the cell at hand; the clean ones are part of those with copies."""

    def __init__(self, corpus: Corpus, config: DesignConfig):
        self._corpus, self._config = corpus, config
        self._of: tuple[str, str] | None = None
        self._bank: FeatureBank | None = None

    def of(self, cell: Cell) -> FeatureBank:
        if self._bank is None or self._of != (cell.features, cell.band):
            self._bank = None  # one at a time is kept
            frontend = frontend_named(cell.features)(band=cell.band)
            self._bank = build_bank(
                self._corpus,
                frontend,
                WINDOWS[task_named(self._config.task).unit],
                variants=self._config.copies if "copies" in self._config.axes.augmentation else 0,
                seed=self._config.seed,
                augmentation=None if frontend.augments else AugmentConfig(),
            )
            self._of = (cell.features, cell.band)
        return self._bank if cell.augmentation == "copies" else replace(self._bank, features=self._bank.features[:, :1])


def _judged(
    problem: Problem, corpus: Corpus, folder: Path, seed: int, part: Callable[[str, float], None]
) -> dict[str, Any]:
    """What a cell reaches, in JSON types."""
    try:
        trials = sweep(problem, folder, n_trials=1, report=part)
    except NonFiniteLoss as error:  # of one combination: the others are still to be seen
        return {"diverged": str(error)}
    tested, labels = problem.split.tested, problem.labels
    _, calibrated = calibrate(problem, trials, out_of_fold_logits(problem, trials), corpus.patient)
    answered = (labels[tested], calibrated.probabilities[tested])
    metrics = classification_metrics(*answered)
    intervals = headline_intervals(*answered, corpus.patient[tested], seed=seed)
    numbers = {
        name: {"value": getattr(metrics, name), "low": intervals[name].low, "high": intervals[name].high}
        for name in HEADLINES
    }
    return numbers | {
        "validation_loss": trials[0].score,
        "best_epochs": [each.best_epoch for each in trials[0].fits],
    }


def _order(item: tuple[Cell, dict[str, Any]]) -> tuple[float, Cell]:
    return item[1].get("validation_loss", float("inf")), item[0]


def _markdown(found: dict[Cell, dict[str, Any]], head: str) -> str:
    columns = (*Cell._fields, "validation loss", *(name.replace("_", " ") for name in HEADLINES))
    body: list[Sequence[str]] = []
    for cell, record in sorted(found.items(), key=_order):
        if "diverged" in record:
            body.append((*cell, "diverged", *("" for _ in HEADLINES)))
            continue
        numbers = (record[name] for name in HEADLINES)
        spelt = (f"{number(n['value'])} [{number(n['low'])}, {number(n['high'])}]" for n in numbers)
        body.append((*cell, number(record["validation_loss"]), *spelt))
    return "\n".join([head, "", *markdown_table(columns, body), ""])


def _csv(found: dict[Cell, dict[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    sides = ("value", "low", "high")
    names = [f"{name}{'' if side == 'value' else f'_{side}'}" for name in HEADLINES for side in sides]
    writer.writerow((*Cell._fields, "validation_loss", *names))
    for cell, record in sorted(found.items(), key=_order):
        numbers = [record.get(name, {}).get(side, "") for name in HEADLINES for side in sides]
        writer.writerow((*cell, record.get("validation_loss", ""), *numbers))
    return out.getvalue()
