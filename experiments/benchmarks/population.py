"""A population of networks in one compiled call against one network after another, on JAX's default device.

    python experiments/benchmarks/population.py [--networks cnn1d cnn2d] [--filters 16] [--members 3 8] [--write FILE]

Expected: about ten minutes on two cores for 16 filters; the same command measures a GPU. Two tables. The first is of
one training step, for every form that a population's convolution can have: it is what the choice by backend in
jaxresp/models/convolution.py goes by. Milliseconds per member, and what compiling takes. The second is of whole
trainings, `fit_many` against `fit`, on made-up features: trials per second, compiling left out. `population_pays` in
jaxresp/train/population.py goes by it. Sides alternate within each repeat and numbers are medians. CPU time is of all
threads; on a machine that has other work too it says more than the time on the wall.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np

from jaxresp import models
from jaxresp.features import FeatureBank
from jaxresp.models import NetworkConfig
from jaxresp.models.convolution import POPULATION_FORM, PopulationForm
from jaxresp.taxonomy import BINARY
from jaxresp.train import TrainConfig, fit
from jaxresp.train.population import Member, fit_many
from jaxresp.train.stacking import stack
from jaxresp.train.step import begin, hyper_of, static_of, take_step

BATCH, FRAMES, COEFFICIENTS, CLASSES = 32, 157, 20, 3
WINDOWS, EPOCHS = 384, 2


def medians(sides: dict[str, Callable[[], object]], repeats: int) -> dict[str, tuple[float, float]]:
    """Seconds on the wall and of CPU of every side, called in turn; the first round is a warm-up."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for repeat in range(repeats + 1):
        for name, call in sides.items():
            wall, cpu = time.perf_counter(), time.process_time()
            jax.block_until_ready(call())
            if repeat > 0:
                times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {name: tuple(np.median(values, axis=0)) for name, values in times.items()}


def forms(network: NetworkConfig, members: int, repeats: int) -> list[str]:
    """One step: of one network after another, and of the population in each form."""
    graph, weights = models.create(network, COEFFICIENTS, CLASSES, seed=0)
    config = TrainConfig()
    step = partial(take_step, graph=graph, static=static_of(config))
    x = jax.random.normal(jax.random.key(1), (members, BATCH, FRAMES, COEFFICIENTS))
    each = [
        (begin(weights), x[i], jnp.zeros(BATCH, jnp.int32), jnp.ones(BATCH), key, hyper_of(config, np.float32(1e-3)))
        for i, key in enumerate(jax.random.split(jax.random.key(0), members))
    ]
    together = stack(each)

    def compiled(function: Callable[..., object], given: tuple[object, ...]) -> tuple[Callable[[], object], float]:
        started = time.process_time()
        program = jax.jit(function).lower(*given).compile()
        return partial(program, *given), time.process_time() - started

    one = jax.jit(step)
    sides: dict[str, Callable[[], object]] = {"one after another": lambda: [one(*given) for given in each]}
    compile_s: dict[str, float] = {}
    _, compile_s["one after another"] = compiled(step, each[0])
    backend = jax.default_backend()
    chosen = POPULATION_FORM[backend]
    for form in get_args(PopulationForm):
        POPULATION_FORM[backend] = form
        # A function of its own for each form: JAX would find the program of the one before.
        sides[form], compile_s[form] = compiled(jax.vmap(lambda *given: step(*given)), together)
    POPULATION_FORM[backend] = chosen
    found = medians(sides, repeats)
    first = found["one after another"]
    return [
        f"| {network.name}, {network.filters} filters, {members} members | {name}{' (chosen)' * (name == chosen)} | "
        f"{1e3 * wall / members:.1f} ({1e3 * cpu / members:.1f}) | {first[0] / wall:.2f} ({first[1] / cpu:.2f}) | "
        f"{compile_s[name]:.0f} |"
        for name, (wall, cpu) in found.items()
    ]


def trainings(network: NetworkConfig, n_members: int, repeats: int) -> str:
    """Whole trainings of so many seeds, with their validation."""
    rng = np.random.default_rng(0)
    recording = np.arange(WINDOWS, dtype=np.int32)
    bank = FeatureBank(rng.normal(size=(WINDOWS, 1, FRAMES, COEFFICIENTS)).astype(np.float32), recording, WINDOWS)
    labels = recording % 2
    train, validation = np.split(recording, [3 * WINDOWS // 4])
    members = [
        Member(network, TrainConfig(max_epochs=EPOCHS, patience=EPOCHS, seed=seed), train, validation)
        for seed in range(n_members)
    ]

    def in_turn() -> None:
        for each in members:
            fit(bank, labels, BINARY, each.network, each.config, train=train, validation=validation)

    found = medians({"population": lambda: fit_many(bank, labels, BINARY, members), "in turn": in_turn}, repeats)
    (wall, cpu), (in_turn_wall, in_turn_cpu) = found["population"], found["in turn"]
    return (
        f"| {network.name}, {network.filters} filters, {n_members} members | {n_members / wall:.2f} | "
        f"{n_members / in_turn_wall:.2f} | {in_turn_wall / wall:.2f} ({in_turn_cpu / cpu:.2f}) |"
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--networks", nargs="+", default=list(models.NETWORKS), choices=list(models.NETWORKS))
    arguments.add_argument("--filters", nargs="+", type=int, default=[16])
    arguments.add_argument("--members", nargs="+", type=int, default=[3, 8])
    arguments.add_argument("--repeats", type=int, default=7)
    arguments.add_argument("--write", type=Path, help="A Markdown file to put the result into.")
    options = arguments.parse_args()
    asked = f"--networks {' '.join(options.networks)} --filters {' '.join(map(str, options.filters))}"
    lines = [
        "# A population of networks against one after another",
        "",
        f"`python experiments/benchmarks/population.py {asked} --members {' '.join(map(str, options.members))}`",
        "",
        f"jax {jax.__version__}, {jax.devices()[0].device_kind}, {os.cpu_count()} cores, load at the start "
        f"{os.getloadavg()[0]:.0f}; batch {BATCH}, {FRAMES}×{COEFFICIENTS}. Of CPU in brackets.",
        "",
    ]
    shapes = [
        (NetworkConfig(name, filters), members)
        for name in options.networks
        for filters in options.filters
        for members in options.members
    ]
    lines += ["| one step | form | ms per member | one after another / this | compiling, s of CPU |"]
    lines += ["| --- | --- | --- | --- | --- |"]
    for network, members in shapes:
        lines += forms(network, members, options.repeats)
        print("\n".join(lines[-4:]), flush=True)
    lines += ["", "| whole trainings | trials per second | one after another | population / one after another |"]
    lines += ["| --- | --- | --- | --- |"]
    for network, members in shapes:
        lines.append(trainings(network, members, max(2, options.repeats // 2)))
        print(lines[-1], flush=True)
    if options.write:
        options.write.write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
