"""Settings chosen on the training side of a publisher's split, by whole patients. No test is read, no look entered.

In every round a quarter of the training patients of every class is drawn, who stop the training and are judged; all
others train. Round k draws whom the look with seed k draws. One round tells settings apart only as far as its interval
does; more are means over other draws of the same patients.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float, Int
from studying import Progress, Setting

from jaxresp import models
from jaxresp.corpus.recordings import corpus_identity
from jaxresp.evaluate.bootstrap import Interval
from jaxresp.evaluate.metrics import confusion_matrix, macro_log_loss
from jaxresp.evaluate.scores import challenge_scores, score_intervals
from jaxresp.evaluate.words import number, with_interval
from jaxresp.features import FeatureBank
from jaxresp.files import write_whole
from jaxresp.material import Material
from jaxresp.models import storage
from jaxresp.splits.grouped import VALIDATION_FRACTION, train_and_validation
from jaxresp.taxonomy import Task
from jaxresp.train import fit, predict
from jaxresp.workdir import claim

#: Too sure a network, or by label smoothing one that is not sure enough, is no worse for it once it is calibrated.
TEMPERATURES = np.geomspace(0.25, 4.0, 33)


@dataclass(frozen=True)
class Tried:
    """What a setting reached in some rounds.

    Attributes:
        name: of the setting.
        loss: class-balanced log loss at the best of TEMPERATURES, on the rows of all rounds.
        score: of the task's challenge, for the most probable classes of the same rows.
        interval: its 95 %, over patients.
        epochs: the best one of each round.
        minutes: of processor time.
        n: rows judged; of several rounds, a row counts in each.
        n_patients: whose they are.
    """

    name: str
    loss: float
    score: float
    interval: Interval
    epochs: tuple[int, ...]
    minutes: float
    n: int
    n_patients: int


def choose(
    material: Material,
    folder: Path,
    task: Task,
    settings: Mapping[str, Setting],
    *,
    n_rounds: int,
    score: str,
    progress: Progress,
) -> list[Tried]:
    """Try every setting in the first rounds. A finished round is read back.

    Args:
        material: of the training side alone; see `looking.training_side`.
        folder: where finished rounds are kept.
        task: the question; its challenge has `score`.
        settings: name → what to try. Its split, folds and trials are not looked at, and it has one front end.
        n_rounds: how many.
        score: which of the challenge's scores is told beside the loss.
        progress: called with the setting, what it does, and the fraction of all done.

    Returns:
        the lowest loss first.
    """
    return sorted(
        (
            _try(
                material,
                folder / name,
                task,
                setting,
                name,
                n_rounds,
                score,
                lambda model, what, done, i=i: progress(model, what, (i + done) / len(settings)),
            )
            for i, (name, setting) in enumerate(settings.items())
        ),
        key=lambda each: (each.loss, each.name),
    )


def table(tried: list[Tried], score: str) -> str:
    """The same in Markdown."""
    head = ("setting", "loss", score, "n", "patients", "best epochs", "CPU minutes")
    rows = [
        (
            each.name,
            number(each.loss),
            with_interval(each.score, each.interval),
            str(each.n),
            str(each.n_patients),
            ", ".join(map(str, each.epochs)),
            f"{each.minutes:.1f}",
        )
        for each in tried
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ("---",) * len(head), *rows))


def calibrated_loss(labels: Int[np.ndarray, " n"], logits: Float[np.ndarray, "n outputs"]) -> float:
    """The class-balanced log loss at the best of TEMPERATURES."""
    return min(macro_log_loss(labels, np.asarray(models.probabilities(logits / t))) for t in TEMPERATURES)


def _try(
    material: Material,
    folder: Path,
    task: Task,
    setting: Setting,
    name: str,
    n_rounds: int,
    score: str,
    progress: Progress,
) -> Tried:
    (frontend,) = setting.config.frontends()
    asked, config = material.rows(task), setting.config
    variants = config.variants_of(frontend)
    bank = material.features(task, frontend, config.window_of(task), variants=variants, seed=config.seed)
    mine = {"setting": setting.to_json(), "corpus": corpus_identity(material.corpus), "jax": jax.__version__}
    claim(folder / "setting.json", mine)
    labels, every = asked.labels(task), np.arange(len(asked))
    rounds = [
        train_and_validation(asked.patient, labels, every, validation_fraction=VALIDATION_FRACTION, seed=k)
        for k in range(n_rounds)
    ]
    told = [
        _round(
            folder / f"round-{k}.npz",
            task,
            setting,
            bank,
            labels,
            k,
            *sides,
            lambda what, done, k=k: progress(name, f"round {k + 1}: {what}", (k + done) / n_rounds),
        )
        for k, sides in enumerate(rounds)
    ]
    rows = np.concatenate([judged for _, judged in rounds])
    logits = np.concatenate([each["logits"] for each in told])
    probabilities = np.asarray(models.probabilities(logits))
    confusion = confusion_matrix(labels[rows], probabilities.argmax(1), len(task.classes))
    return Tried(
        name,
        calibrated_loss(labels[rows], logits),
        challenge_scores(task, confusion)[score],
        score_intervals(task, labels[rows], probabilities, asked.patient[rows])[score],
        tuple(int(each["best_epoch"][0]) for each in told),
        float(sum(each["minutes"][0] for each in told)),
        len(rows),
        len(set(asked.patient[rows].tolist())),
    )


def _round(
    file: Path,
    task: Task,
    setting: Setting,
    bank: FeatureBank,
    labels: Int[np.ndarray, " rows"],
    seed: int,
    others: Int[np.ndarray, " others"],
    judged: Int[np.ndarray, " judged"],
    progress: Callable[[str, float], None],
) -> Mapping[str, np.ndarray]:
    """Logits of the rows judged, the best epoch, and the minutes it took."""
    if file.is_file():
        return storage.unpack(file.read_bytes())
    (frontend,) = setting.config.frontends()
    training = replace(setting.config.training, seed=seed)
    network, started = setting.network_of(frontend), time.process_time()

    def on_epoch(epoch: int, losses: dict[str, float]) -> None:
        what = f"epoch {epoch}, loss {losses['train_loss']:.3f}, validation {losses['validation_loss']:.3f}"
        progress(what, epoch / training.max_epochs)

    fitted = fit(bank, labels, task, network, training, train=others, validation=judged, on_epoch=on_epoch)
    graph, _ = models.create(network, bank.features.shape[-1], task.n_outputs, 0)
    told = {
        "logits": predict(graph, fitted.weights, fitted.standardisation, bank, judged),
        "best_epoch": np.array([fitted.best_epoch]),
        "minutes": np.array([(time.process_time() - started) / 60]),
    }
    write_whole(file, storage.pack(told))
    return told
