"""An epoch of a population: every member's steps, compiled together."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float32, Int32, Key, PRNGKeyArray

from jaxresp.models import Weights
from jaxresp.train.epoch import Batch, batch_shown, one_call, one_step, rounded_up
from jaxresp.train.fitted import Standardisation
from jaxresp.train.predicting import window_logits
from jaxresp.train.step import Hyper, State, StepConfig

#: What a Batch is made of, in its order, on the host: [steps, members, …].
Parts = tuple[Any, ...]

_programs: dict[tuple[Any, ...], jax.stages.Compiled] = {}


def program_of(
    state: State,
    source: Float32[Array, "all variants frames coefficients"],
    by: Standardisation,
    batches: Parts,
    active: Bool[np.ndarray, "steps members"],
    keys: Key[Array, " members"],
    hyper: Hyper,
    graph: nnx.GraphDef,
    static: StepConfig,
) -> jax.stages.Compiled:
    """What runs an epoch, compiled before it runs, so that what it takes is known: `_all_steps`, or `_steps`."""
    given: tuple[Any, ...]
    if one_call():
        filled, filled_active = _filled(batches, active)
        function, given = _all_steps, (state, source, by, Batch(*filled), filled_active, np.int32(0), keys, hyper)
    else:
        batch, taken = Batch(*(part[0] for part in batches)), active[0]
        x, step_keys = jax.eval_shape(_shown, source, by, batch, keys)
        function, given = _steps, (state, x, step_keys, batch, taken, hyper)
    shapes = tuple((jnp.shape(leaf), leaf.dtype) for leaf in jax.tree.leaves(given))
    key = (function, graph, static, jax.tree.structure(given), shapes)
    if key not in _programs:
        _programs[key] = function.lower(*given, graph=graph, static=static).compile()
    return _programs[key]


def _filled(batches: Parts, active: Bool[np.ndarray, "steps members"]) -> tuple[Parts, np.ndarray]:
    """To a rounded-up number of steps, so that few are compiled."""
    size = rounded_up(len(active))
    *parts, taken = (np.resize(part, (size, *part.shape[1:])) for part in (*batches, active))
    return tuple(parts), taken


def run_batches(
    state: State,
    source: Float32[Array, "all variants frames coefficients"],
    by: Standardisation,
    batches: Parts,
    active: Bool[np.ndarray, "steps members"],
    keys: Key[Array, " members"],
    hyper: Hyper,
    graph: nnx.GraphDef,
    static: StepConfig,
) -> tuple[State, Float32[np.ndarray, "steps members"]]:
    """Every step of an epoch; the loss of those that were not to be taken is 0."""
    steps = len(active)
    run = program_of(state, source, by, batches, active, keys, hyper, graph, static)
    if one_call():
        (parts, taken), told = jax.device_put((_filled(batches, active), np.int32(steps)))
        with jax.transfer_guard("disallow"):
            state, losses = run(state, source, by, Batch(*parts), taken, told, keys, hyper)
            return state, jax.device_get(losses)[:steps]
    found = []
    for *parts, taken in jax.device_put(list(zip(*batches, active, strict=True))):
        # The windows in a call of their own, so that the step is compiled once for banks of every size.
        batch = Batch(*parts)
        x, step_keys = _shown(source, by, batch, keys)
        state, losses = run(state, x, step_keys, batch, taken, hyper)
        found.append(losses)
    return state, np.stack(jax.device_get(found))


#: The windows and the step's key of every member.
_shown = jax.jit(jax.vmap(batch_shown, in_axes=(None, 0, 0, 0)))


@partial(jax.jit, static_argnames=("graph", "static"), donate_argnames="state")
def _steps(
    state: State,
    x: Float32[Array, "members batch frames coefficients"],
    keys: Key[Array, " members"],
    batch: Batch,
    active: Bool[Array, " members"],
    hyper: Hyper,
    *,
    graph: nnx.GraphDef,
    static: StepConfig,
) -> tuple[State, Float32[Array, " members"]]:
    """One step of every member that is to take it."""

    def step(
        state: State, x: Array, key: PRNGKeyArray, batch: Batch, active: Array, hyper: Hyper
    ) -> tuple[State, Array]:
        after, loss = one_step(state, x, key, batch, hyper, graph=graph, static=static, mesh=None)
        return jax.tree.map(partial(jnp.where, active), after, state), jnp.where(active, loss, 0.0)

    return jax.vmap(step)(state, x, keys, batch, active, hyper)


@partial(jax.jit, static_argnames=("graph", "static"), donate_argnames="state")
def _all_steps(
    state: State,
    source: Float32[Array, "all variants frames coefficients"],
    by: Standardisation,
    batches: Batch,
    active: Bool[Array, "capacity members"],
    steps: Int32[Array, ""],
    keys: Key[Array, " members"],
    hyper: Hyper,
    *,
    graph: nnx.GraphDef,
    static: StepConfig,
) -> tuple[State, Float32[Array, "capacity members"]]:
    def body(i: Int32[Array, ""], carry: tuple[State, Array]) -> tuple[State, Array]:
        state, losses = carry
        batch, taken = jax.tree.map(lambda part: part[i], (batches, active))
        shown = _shown(source, by, batch, keys)
        state, now = _steps(state, *shown, batch, taken, hyper, graph=graph, static=static)
        return state, losses.at[i].set(now)

    return jax.lax.fori_loop(0, steps, body, (state, jnp.zeros(active.shape)))


@partial(jax.jit, static_argnames="graph")
def answer(
    graph: nnx.GraphDef,
    weights: Weights,
    by: Standardisation,
    features: Float32[Array, "windows variants frames coefficients"],
    rows: Int32[Array, "members n"],
) -> Float32[Array, "members n outputs"]:
    """Logits as served, of every member to windows of its own."""
    return jax.vmap(lambda weights, by, rows: window_logits(graph, weights, by, features[rows, 0]))(weights, by, rows)


@partial(jax.jit, donate_argnames="best")
def keep_better(better: Bool[Array, " members"], now: Weights, best: Weights) -> Weights:
    """Of members for which it is better, the weights of now."""
    return jax.vmap(lambda each, new, old: jax.tree.map(partial(jnp.where, each), new, old))(better, now, best)
