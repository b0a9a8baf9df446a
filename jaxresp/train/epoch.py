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
from jax.sharding import Mesh
from jaxtyping import Array, Float32, Int32, PRNGKeyArray

from jaxresp.train.fitted import Standardisation, standardise
from jaxresp.train.mesh import everywhere, shared_out
from jaxresp.train.sampling import Plan, Sampler
from jaxresp.train.step import Hyper, State, StepConfig, take_step

_SHORTEST_PLAN = 16


class Rows(NamedTuple):
    """What all batches of one training are drawn from, on the device.

    Attributes:
        x: features as they were computed.
        y: class of each row.
        weights: how much a row of each class counts.
        by: what features are standardised by.
    """

    x: Float32[Array, "rows variants frames coefficients"]
    y: Int32[Array, " rows"]
    weights: Float32[Array, " classes"]
    by: Standardisation


class _Batch(NamedTuple):
    """Which windows a step shows, and what else it needs to know; or a whole epoch of these."""

    rows: Int32[Array, "*steps batch"]
    variant: Int32[Array, "*steps batch"]
    number: Int32[Array, "*steps 2"]
    learning_rate: Float32[Array, "*steps"]


def rows_on_device(sampler: Sampler, by: Standardisation, mesh: Mesh | None = None) -> Rows:
    """What a sampler holds, where training takes place. The features are there already."""
    return Rows(sampler.x, *jax.device_put((sampler.y, sampler.weights, by), everywhere(mesh)))


def one_call() -> bool:
    """Whether an epoch is one compiled call on JAX's default device."""
    return jax.default_backend() != "cpu"


def run_epoch(
    state: State,
    rows: Rows,
    plan: Plan,
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
    """Take every step of a plan.

    Args:
        state: after the epoch before; it is used up.
        rows: what batches are drawn from.
        plan: which rows each step shows.
        epoch: its number; dropout and whatever else is drawn are a function of the key, of it and of the step.
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
    with jax.transfer_guard("disallow"):  # what is put and got by name, as here, is allowed
        number = np.stack([np.full(len(plan.rows), epoch), np.arange(len(plan.rows))], 1).astype(np.int32)
        batches = _Batch(plan.rows, plan.variant, number, learning_rates)
        if one_call() if compiled is None else compiled:
            filled = jax.tree.map(lambda each: np.resize(each, (_rounded_up(len(each)), *each.shape[1:])), batches)
            where = _placed_like(filled, mesh, axis=1)
            steps = jax.device_put(np.int32(len(plan.rows)), everywhere(mesh))
            state, losses = _all_steps(
                state, rows, jax.device_put(filled, where), steps, key, hyper, graph=graph, static=static, mesh=mesh
            )
            return state, jax.device_get(losses)[: len(plan.rows)]
        each = [_Batch(*parts) for parts in zip(*batches, strict=True)]
        placed = jax.device_put(each, [_placed_like(batch, mesh, axis=0) for batch in each])
        state, device_losses = _step_by_step(state, rows, placed, key, hyper, graph, static, mesh)
        return state, np.array(jax.device_get(device_losses), np.float32)


def _step_by_step(
    state: State,
    rows: Rows,
    batches: Sequence[_Batch],
    key: PRNGKeyArray,
    hyper: Hyper,
    graph: nnx.GraphDef,
    static: StepConfig,
    mesh: Mesh | None,
) -> tuple[State, list[Float32[Array, ""]]]:
    losses = []
    for batch in batches:
        # In a call of its own, so that the step is compiled once for banks of every size.
        taken = _taken(rows, batch, key)
        state, loss = _one_step(state, *taken, hyper, batch.learning_rate, graph=graph, static=static, mesh=mesh)
        losses.append(loss)
    return state, losses


@partial(jax.jit, static_argnames=("graph", "static", "mesh"), donate_argnames="state")
def _all_steps(
    state: State,
    rows: Rows,
    batches: _Batch,
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
        taken = _taken(rows, batch, key)
        state, loss = _one_step(
            state, *taken, hyper, batch.learning_rate, graph=graph, static=static, mesh=mesh
        )
        return state, losses.at[i].set(loss)

    return jax.lax.fori_loop(0, steps, body, (state, jnp.zeros(batches.rows.shape[0])))


@partial(jax.jit, static_argnames=("graph", "static", "mesh"), donate_argnames="state")
def _one_step(
    state: State,
    x: Float32[Array, "batch frames coefficients"],
    labels: Int32[Array, " batch"],
    weight: Float32[Array, " batch"],
    key: PRNGKeyArray,
    hyper: Hyper,
    learning_rate: Float32[Array, ""],
    *,
    graph: nnx.GraphDef,
    static: StepConfig,
    mesh: Mesh | None,
) -> tuple[State, Float32[Array, ""]]:
    alone = state._replace(loss=jnp.zeros(()))
    state = take_step(
        alone, x, labels, weight, key, hyper._replace(learning_rate=learning_rate), graph=graph, static=static
    )
    if mesh is not None:
        state = jax.lax.with_sharding_constraint(state, everywhere(mesh))
    return state, state.loss


@jax.jit
def _taken(
    rows: Rows, batch: _Batch, key: PRNGKeyArray
) -> tuple[Float32[Array, "batch frames coefficients"], Int32[Array, " batch"], Float32[Array, " batch"], PRNGKeyArray]:
    """One batch: standardised features, classes, weights, and the key of the step."""
    x = standardise(rows.x[batch.rows, batch.variant], rows.by)
    labels = rows.y[batch.rows]
    epoch, step = batch.number
    return x, labels, rows.weights[labels], jax.random.fold_in(jax.random.fold_in(key, epoch), step)


def _placed_like(batches: _Batch, mesh: Mesh | None, axis: int) -> _Batch | None:
    """Where to put each part: rows are shared out along the axis of the batch."""
    if mesh is None:
        return None
    shared, all_of_it = shared_out(mesh, axis), everywhere(mesh)
    return _Batch(shared, shared, all_of_it, all_of_it)


def _rounded_up(steps: int) -> int:
    """To a power of two, so that few lengths of plan are compiled."""
    return max(_SHORTEST_PLAN, 1 << (steps - 1).bit_length())
