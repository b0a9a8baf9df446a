"""One epoch: every batch of a plan, with nothing carried between host and device while it runs.

On a GPU or TPU an epoch is one compiled call. On a CPU the same step is called in a loop, because XLA runs convolutions
inside a loop of its own there five to fifteen times slower (experiments/results/training_step.md); dispatch is
asynchronous, so that the loop costs little.

The compiled call loops over as many batches as it is told, in a plan of a rounded-up length: folds of different sizes
share one program.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding
from jaxtyping import Array, Float32, Int32, PRNGKeyArray

from jaxresp.train.fitted import Standardisation, standardise
from jaxresp.train.mesh import everywhere, shared_out
from jaxresp.train.sampling import Sampler
from jaxresp.train.step import Hyper, State, StepConfig, take_step

_SHORTEST_PLAN = 16


class Batch(NamedTuple):
    """What a step is told, on the device; or a whole epoch of it.

    Attributes:
        place: of each window among the features.
        variant: which of its variants is shown.
        labels: its class.
        weight: how much it counts.
        number: of the epoch and of the step.
        learning_rate: of the step.
    """

    place: Int32[Array, "*steps batch"]
    variant: Int32[Array, "*steps batch"]
    labels: Int32[Array, "*steps batch"]
    weight: Float32[Array, "*steps batch"]
    number: Int32[Array, "*steps 2"]
    learning_rate: Float32[Array, "*steps"]


def one_call() -> bool:
    """Whether an epoch is one compiled call on JAX's default device."""
    return jax.default_backend() != "cpu"


def run_epoch(
    state: State,
    sampler: Sampler,
    epoch: int,
    key: PRNGKeyArray,
    hyper: Hyper,
    learning_rates: Float32[np.ndarray, " steps"],
    *,
    graph: nnx.GraphDef,
    static: StepConfig,
    mesh: Mesh | None = None,
    compiled: bool | None = None,
) -> tuple[State, Float32[np.ndarray, " steps"]]:
    """Take every step of an epoch.

    Args:
        state: after the epoch before; it is used up.
        sampler: what batches are drawn from; its features are where the training takes place.
        epoch: 1 for the first; dropout and whatever else is drawn are a function of the key, of it and of the step.
        key: of the training.
        hyper: the numbers of every step, on the device; its learning rate is not used.
        learning_rates: of each step.
        graph: the network.
        static: what a step is compiled for.
        mesh: the devices that share each batch; None for one device.
        compiled: one call, or a loop of steps; by default what suits the device.

    Returns:
        The state, and the loss of every step, read once at the end.
    """
    plan = sampler.plan(epoch)
    labels = sampler.y[plan.rows]
    number = np.stack([np.full(sampler.steps, epoch), np.arange(sampler.steps)], 1).astype(np.int32)
    place, weight = sampler.place[plan.rows].astype(np.int32), sampler.weights[labels]
    host = (place, plan.variant, labels, weight, number, learning_rates)  # in the order of a Batch
    with jax.transfer_guard("disallow"):  # what is put and got by name, as here, is allowed
        by = jax.device_put(sampler.by, everywhere(mesh))
        if one_call() if compiled is None else compiled:
            filled = tuple(np.resize(each, (rounded_up(len(each)), *each.shape[1:])) for each in host)
            placed = Batch(*jax.device_put(filled, _where(mesh, axis=1)))
            steps = jax.device_put(np.int32(sampler.steps), everywhere(mesh))
            state, losses = _all_steps(
                state, sampler.source, by, placed, steps, key, hyper, graph=graph, static=static, mesh=mesh
            )
            return state, jax.device_get(losses)[: sampler.steps]
        each = list(zip(*host, strict=True))
        told = [Batch(*parts) for parts in jax.device_put(each, [_where(mesh, axis=0)] * len(each) if mesh else None)]
        state, losses = _step_by_step(state, sampler.source, by, told, key, hyper, graph, static, mesh)
        return state, np.array(jax.device_get(losses), np.float32)


def _step_by_step(
    state: State,
    source: Float32[Array, "all variants frames coefficients"],
    by: Standardisation,
    batches: Sequence[Batch],
    key: PRNGKeyArray,
    hyper: Hyper,
    graph: nnx.GraphDef,
    static: StepConfig,
    mesh: Mesh | None,
) -> tuple[State, list[Float32[Array, ""]]]:
    losses = []
    for batch in batches:
        # In a call of its own, so that the step is compiled once for banks of every size.
        shown = batch_shown(source, by, batch, key)
        state, loss = one_step(state, *shown, batch, hyper, graph=graph, static=static, mesh=mesh)
        losses.append(loss)
    return state, losses


@partial(jax.jit, static_argnames=("graph", "static", "mesh"), donate_argnames="state")
def _all_steps(
    state: State,
    source: Float32[Array, "all variants frames coefficients"],
    by: Standardisation,
    batches: Batch,
    steps: Int32[Array, ""],
    key: PRNGKeyArray,
    hyper: Hyper,
    *,
    graph: nnx.GraphDef,
    static: StepConfig,
    mesh: Mesh | None,
) -> tuple[State, Float32[Array, " capacity"]]:
    def body(i: Int32[Array, ""], carry: tuple[State, Array]) -> tuple[State, Array]:
        state, losses = carry
        batch = jax.tree.map(lambda each: each[i], batches)
        shown = batch_shown(source, by, batch, key)
        state, loss = one_step(state, *shown, batch, hyper, graph=graph, static=static, mesh=mesh)
        return state, losses.at[i].set(loss)

    return jax.lax.fori_loop(0, steps, body, (state, jnp.zeros(batches.place.shape[0])))


@partial(jax.jit, static_argnames=("graph", "static", "mesh"), donate_argnames="state")
def one_step(
    state: State,
    x: Float32[Array, "batch frames coefficients"],
    key: PRNGKeyArray,
    batch: Batch,
    hyper: Hyper,
    *,
    graph: nnx.GraphDef,
    static: StepConfig,
    mesh: Mesh | None,
) -> tuple[State, Float32[Array, ""]]:
    """One step, and its own loss."""
    alone, numbers = state._replace(loss=jnp.zeros(())), hyper._replace(learning_rate=batch.learning_rate)
    state = take_step(alone, x, batch.labels, batch.weight, key, numbers, graph=graph, static=static)
    if mesh is not None:
        state = jax.lax.with_sharding_constraint(state, everywhere(mesh))
    return state, state.loss


@jax.jit
def batch_shown(
    source: Float32[Array, "all variants frames coefficients"], by: Standardisation, batch: Batch, key: PRNGKeyArray
) -> tuple[Float32[Array, "batch frames coefficients"], PRNGKeyArray]:
    """Standardised windows, and the key of the step."""
    epoch, step = batch.number
    x = jnp.asarray(standardise(source[batch.place, batch.variant], by))
    return x, jax.random.fold_in(jax.random.fold_in(key, epoch), step)


def _where(mesh: Mesh | None, axis: int) -> tuple[NamedSharding, ...] | None:
    """Where to put each part of a batch: its windows are shared out, and `axis` counts them."""
    shared, whole = shared_out(mesh, axis), everywhere(mesh)
    return None if shared is None or whole is None else (*[shared] * 4, *[whole] * 2)


def rounded_up(steps: int) -> int:
    """To a power of two, so that few lengths of plan are compiled."""
    return max(_SHORTEST_PLAN, 1 << (steps - 1).bit_length())
