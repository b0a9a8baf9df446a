"""Many networks of one shape, fitted at once: folds, seeds and settings of a sweep in one compiled call.

A member is what `fit` makes of it alone, up to the order of sums. Members may differ in their recordings, seed and
every number of TrainConfig. A member with fewer batches than the longest waits for the rest of an epoch; one whose
patience has ended is masked, until those left fit into a smaller population (its sizes are powers of two).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float32, Int32

from jaxresp import models
from jaxresp.evaluate.metrics import macro_log_loss
from jaxresp.features import FeatureBank
from jaxresp.models import NetworkConfig, Weights
from jaxresp.pooling import pool
from jaxresp.taxonomy import Task
from jaxresp.train.config import TrainConfig
from jaxresp.train.diverged import check_features, check_losses, check_validation, check_weights
from jaxresp.train.epoch import one_call
from jaxresp.train.fitted import Fit, Standardisation, fit_standardisation
from jaxresp.train.fitting import Criterion, check_sides
from jaxresp.train.memory import check_fits
from jaxresp.train.population_epoch import Parts, answer, keep_better, program_of, run_batches
from jaxresp.train.sampling import Sampler
from jaxresp.train.schedule import learning_rate_at
from jaxresp.train.stacking import create_padded, cut_to, member_of, members_of, stack, widest
from jaxresp.train.step import Hyper, State, StepConfig, begin, hyper_of, static_of

_CHUNK = 64  # validation windows of each member that are answered at once


@dataclass(frozen=True, eq=False)
class Member:
    """One network of a population.

    Attributes:
        network: its architecture.
        config: how it is fitted.
        train: recordings to fit on.
        validation: recordings whose loss stops the training and chooses the epoch.
    """

    network: NetworkConfig
    config: TrainConfig
    train: np.ndarray
    validation: np.ndarray


def population_pays(network: NetworkConfig, n_members: int) -> bool:
    """Whether `fit_many` is faster on JAX's default device than `fit` for one after another.

    From experiments/results/population.md. On two cores of a CPU a population of three took 1.3 (cnn1d) and 1.6 times
    (cnn2d) the CPU time of one after another: one network keeps the cores busy, and a population has more memory to go
    through. An accelerator is what it was written for; none was measured.
    """
    return n_members > 1 and one_call()


def fit_many(
    bank: FeatureBank,
    labels: Int32[np.ndarray, " recordings"],
    task: Task,
    members: Sequence[Member],
    *,
    on_epoch: Callable[[int, int, dict[str, float]], None] = lambda member, epoch, losses: None,
    criterion: Criterion = macro_log_loss,
    memory_bytes: int | None = None,
) -> tuple[Fit, ...]:
    """Fit a population. What cannot share a program is fitted in a population after another.

    Args:
        bank: features of the whole corpus.
        labels: class of every recording of the corpus.
        task: how many outputs, and which loss.
        members: what to fit.
        on_epoch: called after every epoch of every member with its place in `members`, the epoch and its losses. What
            it raises ends the training of all.
        criterion: labels and probabilities of the validation recordings → what is lowest in the best epoch.
        memory_bytes: how much a population may take; by default what the device has free.

    Returns:
        What was fitted, in the order of `members`.

    Raises:
        NonFiniteLoss: one of them diverged; names the step, the recordings and the remedy.
        EmptySide: a class of the task has no recording to train on, or there is none to validate on.
        PopulationTooLarge: it would not fit into memory; names the size that does.
    """
    groups: dict[tuple[Any, ...], list[_Run]] = {}
    for place, member in enumerate(members):
        run = _Run(place, member, bank, labels, task)
        groups.setdefault(run.program, []).append(run)
    for runs in groups.values():
        _Population(runs, bank, labels, task, criterion, memory_bytes).fit(on_epoch)
    fits = {run.place: run.fit for runs in groups.values() for run in runs}
    return tuple(found for _, found in sorted(fits.items()) if found is not None)


@dataclass(eq=False)
class _Run:
    """What the host knows of a member."""

    place: int
    member: Member
    bank: FeatureBank = field(repr=False)
    labels: np.ndarray = field(repr=False)
    task: Task = field(repr=False)
    epoch: int = 0
    best_epoch: int = 0
    best_score: float = np.inf
    history: list[dict[str, float]] = field(default_factory=list)
    fit: Fit | None = None

    def __post_init__(self) -> None:
        check_sides(self.labels, self.task, self.member.train, self.member.validation)
        rows = self.bank.windows_of(self.member.train)
        with np.errstate(invalid="ignore", over="ignore"):  # what is no number is named below
            self.by = fit_standardisation(self.bank.clean[rows])
        check_features(self.bank, rows, self.by)
        self.sampler = Sampler(self.bank, self.labels, self.task, self.member.config, rows, self.by)
        self.validated = self.bank.windows_of(self.member.validation)

    @property
    def program(self) -> tuple[Any, ...]:
        """Members of which this is the same share a program."""
        network, config = self.member.network, self.member.config
        shape = (network.name, network.filters, network.blocks, network.kernel)
        return *shape, static_of(config), config.batch_size, config.balance == "smote"

    @property
    def done(self) -> bool:
        config = self.member.config
        return self.epoch == config.max_epochs or self.epoch - self.best_epoch >= config.patience


class _Population:
    """The members that share a program, and what the device holds of those that are still in training."""

    def __init__(
        self,
        runs: list[_Run],
        bank: FeatureBank,
        labels: np.ndarray,
        task: Task,
        criterion: Criterion,
        memory_bytes: int | None,
    ):
        self.runs, self.slots = runs, list(runs)
        self.bank, self.labels, self.task, self.criterion = bank, labels, task, criterion
        self.memory_bytes = memory_bytes
        self.features = bank.placed()
        self.n_coefficients = bank.features.shape[-1]
        self.static: StepConfig = static_of(runs[0].member.config)
        within = widest([run.member.network for run in runs])
        weights = []
        for run in runs:
            self.graph, own = create_padded(
                run.member.network, within, self.n_coefficients, task.n_outputs, run.member.config.seed
            )
            weights.append(own)
        self.state: State = stack([begin(each) for each in weights])
        self.best: Weights = stack(weights)
        configs = [run.member.config for run in runs]
        self.by: Standardisation = stack([run.by for run in runs])
        self.keys = jnp.stack([jax.random.key(config.seed) for config in configs])
        self.hyper: Hyper = stack([hyper_of(config, np.float32(0)) for config in configs])
        self._share_source()

    def _share_source(self) -> None:
        """One array that the windows of all are taken from: the bank's, and behind it what SMOTE made for each."""
        n_own = len(self.bank.recording)
        samplers = [run.sampler for run in self.runs]
        self.source, self.places = samplers[0].source, [sampler.place for sampler in samplers]
        if not any((place >= n_own).any() for place in self.places):
            return
        made = [sampler.source[n_own:] for sampler in samplers]
        self.source = jnp.concatenate([samplers[0].source[:n_own], *made])
        offsets = np.cumsum([0, *(len(each) for each in made[:-1])])
        self.places = [
            np.where(place >= n_own, place + offset, place) for place, offset in zip(self.places, offsets, strict=True)
        ]

    def fit(self, on_epoch: Callable[[int, int, dict[str, float]], None]) -> None:
        self._check_memory()
        while any(run.fit is None for run in self.slots):
            self._run_epoch(on_epoch)
            self._compact()

    def _run_epoch(self, on_epoch: Callable[[int, int, dict[str, float]], None]) -> None:
        batches, active = self._batches()
        self.state, losses = run_batches(
            self.state, self.source, self.by, batches, active, self.keys, self.hyper, self.graph, self.static
        )
        answers = self._validate()
        better = np.zeros(len(self.slots), bool)
        for slot, run in enumerate(self.slots):
            if run.fit is None:
                better[slot] = self._close_epoch(run, losses[: run.sampler.steps, slot], answers[slot])
        self.best = keep_better(jnp.asarray(better), self.state.weights, self.best)
        for slot, run in enumerate(self.slots):
            if run.fit is None:
                on_epoch(run.place, run.epoch, run.history[-1])
                if run.done:
                    run.fit = self._finished(run, slot)

    def _close_epoch(
        self, run: _Run, losses: Float32[np.ndarray, " steps"], logits: Float32[np.ndarray, "windows outputs"]
    ) -> bool:
        """Note an epoch's losses; whether it is the best so far."""
        run.epoch += 1
        config, validation = run.member.config, run.member.validation
        check_losses(losses, run.sampler, run.epoch, config, self.bank)
        position = np.full(self.bank.n_recordings, -1)
        position[validation] = np.arange(validation.size)
        pooled = pool(logits, position[self.bank.recording[run.validated]], validation.size)
        score = self.criterion(self.labels[validation], np.asarray(models.probabilities(pooled)))
        check_validation(score, run.epoch, config)
        run.history.append({"train_loss": float(losses.mean(dtype=np.float64)), "validation_loss": score})
        if better := score < run.best_score:
            run.best_epoch, run.best_score = run.epoch, score
        return better

    def _finished(self, run: _Run, slot: int) -> Fit:
        weights = cut_to(member_of(self.best, slot), run.member.network, self.n_coefficients, self.task.n_outputs)
        check_weights(weights, run.best_epoch, run.member.config)
        return Fit(weights, run.by, run.best_epoch, float(run.best_score), tuple(run.history))

    def _compact(self) -> None:
        """Go on with those in training, in a population of a power of two, so that few sizes are compiled."""
        left = [slot for slot, run in enumerate(self.slots) if run.fit is None]
        size = 1 << (len(left) - 1).bit_length() if left else 0
        if not left or size >= len(self.slots):
            return
        # A place left over is filled by one whose training has ended, and which is not looked at again.
        over = [slot for slot, run in enumerate(self.slots) if run.fit is not None]
        chosen = sorted([*left, *over[: size - len(left)]])
        self.slots = [self.slots[slot] for slot in chosen]
        self.places = [self.places[slot] for slot in chosen]
        self.state, self.best, self.by, self.keys, self.hyper = members_of(
            (self.state, self.best, self.by, self.keys, self.hyper), chosen
        )

    def _batches(self) -> tuple[Parts, Bool[np.ndarray, "steps members"]]:
        """The next epoch of every member, side by side, and which of these steps are there to be taken."""
        longest = max(run.sampler.steps for run in self.slots if run.fit is None)
        each, active = [], np.zeros((longest, len(self.slots)), bool)
        for slot, (run, place) in enumerate(zip(self.slots, self.places, strict=True)):
            sampler, config, epoch = run.sampler, run.member.config, run.epoch + 1
            plan, steps = sampler.plan(epoch), np.arange(sampler.steps)
            labels = sampler.y[plan.rows]
            rates = learning_rate_at(config, steps + run.epoch * sampler.steps, sampler.steps * config.max_epochs)
            number = np.stack([np.full(sampler.steps, epoch), steps], 1).astype(np.int32)
            # In the order of a Batch.
            own = place[plan.rows].astype(np.int32), plan.variant, labels, sampler.weights[labels], number, rates
            each.append([np.resize(part, (longest, *part.shape[1:])) for part in own])
            active[: sampler.steps, slot] = run.fit is None
        return tuple(np.stack(parts, 1) for parts in zip(*each, strict=True)), active

    def _validate(self) -> list[Float32[np.ndarray, "windows outputs"]]:
        """Logits of every member's validation windows."""
        rows = [run.validated for run in self.slots]
        chunks = max(-(-len(own) // _CHUNK) for own in rows)
        filled = np.stack([np.resize(own, chunks * _CHUNK).reshape(chunks, _CHUNK) for own in rows], 1)
        answers = [
            answer(self.graph, self.state.weights, self.by, self.features, chunk)
            for chunk in jax.device_put(list(filled.astype(np.int32)))
        ]
        found = np.concatenate(jax.device_get(answers), axis=1)
        return [found[slot, : len(own)] for slot, own in enumerate(rows)]

    def _check_memory(self) -> None:
        """Before the first epoch; the population only shrinks."""
        batches, active = self._batches()
        program = program_of(
            self.state, self.source, self.by, batches, active, self.keys, self.hyper, self.graph, self.static
        )
        network = self.runs[0].member.network
        what = f"{network.name} networks with {network.filters} filters"
        shared = self.source.nbytes if one_call() else 0  # else the windows are taken from it in a call of their own
        check_fits(program.memory_analysis(), len(self.slots), what, self.memory_bytes, shared_bytes=shared)
