"""Laws of one step: what compiles it anew and what does not, that all is heard, and what each setting does to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxresp import models
from jaxresp.dsp import augment
from jaxresp.models.blocks import ConvBlock, Head
from jaxresp.train import TrainConfig
from jaxresp.train.objective import mean_loss, weighted_labels
from jaxresp.train.step import (
    Hyper,
    State,
    StepConfig,
    begin,
    clipped,
    draw_masks,
    hyper_of,
    static_of,
    take_step,
    train_step,
)

BATCH, FRAMES, BANDS = 8, 16, 6
X = np.random.default_rng(0).normal(size=(BATCH, FRAMES, BANDS)).astype(np.float32)
LABELS = np.arange(BATCH, dtype=np.int32) % 2
WEIGHT = np.where(LABELS == 1, 1.5, 0.5).astype(np.float32)
KEY = jax.random.key(3, impl="unsafe_rbg")  # quicker to compile
#: Everything that can be switched on, so that every number has a say.
ALL_ON = TrainConfig(
    learning_rate=0.01, label_smoothing=0.1, clip_norm=0.5, mixup=0.4, time_mask=0.4, frequency_mask=0.4
)


class Small(nnx.Module):
    """One block of ours and our head: quicker to compile than three."""

    def __init__(self, dense: int):
        self.block = ConvBlock(BANDS, 2, (3,), rngs=nnx.Rngs(0))
        self.head = Head(2, dense, 1, rngs=nnx.Rngs(1))

    def __call__(self, x: jax.Array, *, key: jax.Array, dropout_rate: jax.Array) -> jax.Array:
        return self.head(self.block(x, train=True), key=key, dropout_rate=dropout_rate)


@cache
def network(dense: int = 4) -> tuple[nnx.GraphDef, models.Weights]:
    graph, *states = nnx.split(Small(dense), nnx.Param, nnx.BatchStat)
    return graph, models.Weights(*states)


def started() -> State:
    """A state of its own: a step uses up the one it is given."""
    return begin(jax.tree.map(jnp.copy, network()[1]))


def step(hyper: Hyper, static: StepConfig, **changed: Any) -> State:
    given = {"x": X, "labels": LABELS, "weight": WEIGHT, "key": KEY} | changed
    return train_step(started(), **given, hyper=hyper, graph=network()[0], static=static)


def numbers(config: TrainConfig) -> Hyper:
    return jax.tree.map(jnp.float32, hyper_of(config, config.learning_rate))


def same(a: Any, b: Any) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def test_every_number_is_heard_and_none_compiles_anything() -> None:
    static = static_of(ALL_ON)
    assert static == StepConfig("float32", clips=True, mixes=True, masks=True)
    first = step(numbers(ALL_ON), static)
    compiled = train_step._cache_size()
    for name in Hyper._fields:
        changed = numbers(ALL_ON)._replace(**{name: jnp.float32(getattr(numbers(ALL_ON), name) * 0.3)})
        assert not same(step(changed, static), first), name
    assert train_step._cache_size() == compiled
    assert same(step(numbers(ALL_ON), static), first)


def test_what_is_switched_on_or_off_is_another_program_and_nothing_else_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted where the step is traced, which costs less than compiling it."""
    traces, apply_training = [], models.apply_training
    monkeypatch.setattr(models, "apply_training", lambda *a, **k: traces.append(1) or apply_training(*a, **k))

    def traced(config: TrainConfig) -> int:
        graph, weights = network(dense=3)  # traced here and nowhere else
        traces.clear()
        call = partial(train_step, graph=graph, static=static_of(config))
        jax.eval_shape(call, begin(weights), X, LABELS, WEIGHT, KEY, numbers(config))
        return len(traces)

    plain = TrainConfig()
    assert traced(plain) == 1
    for swept in (
        {"learning_rate": 0.5, "schedule": "cosine", "warmup_epochs": 3.0},
        {"dropout": 0.0, "weight_decay": 0.7, "label_smoothing": 0.2},
        {"seed": 5, "max_epochs": 3, "patience": 1},
        {"balance": "oversampling"},
    ):
        assert traced(replace(plain, **swept)) == 0, swept
    for switch, stronger in (
        ({"precision": "bfloat16"}, {}),
        ({"clip_norm": 1.0}, {"clip_norm": 2.0}),
        ({"mixup": 0.2}, {"mixup": 1.0}),
        ({"time_mask": 0.1}, {"time_mask": 0.3, "frequency_mask": 0.2}),
        ({"clip_norm": 1.0, "mixup": 0.2}, {"clip_norm": 0.1, "mixup": 0.4}),
    ):
        assert traced(replace(plain, **switch)) == 1, switch
        assert traced(replace(plain, **(switch | stronger))) == 0, stronger


def test_the_loss_and_the_step_are_those_of_the_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows and labels blended in one proportion, masked, weighted, smoothed; the gradient cut; Adam with decay."""
    graph, weights = network()
    hyper, optimiser = (
        numbers(ALL_ON),
        optax.chain(optax.clip_by_global_norm(0.5), optax.adamw(0.01, weight_decay=1e-4)),
    )
    share = np.random.default_rng(1).uniform(size=BATCH).astype(np.float32)
    mixing = augment.Mixing(jnp.asarray(share), jnp.roll(jnp.arange(BATCH, dtype=jnp.int32), 3))
    monkeypatch.setattr(augment, "mixing_of", lambda *_: mixing)  # the Beta distribution takes seconds to compile

    @jax.jit
    def expected(params: nnx.State) -> tuple[jax.Array, nnx.State]:
        for_dropout, _, for_masks = jax.random.split(KEY, 3)
        x = augment.spec_augment(augment.mixup(jnp.asarray(X), mixing), draw_masks(for_masks, hyper, X.shape))
        counted = weighted_labels(jnp.asarray(LABELS), jnp.asarray(WEIGHT), 2, smoothing=0.1, mixing=mixing)

        def loss_of(params: nnx.State) -> jax.Array:
            of = models.Weights(params, weights.batch_stats)
            return mean_loss(models.apply_training(graph, of, x, key=for_dropout, dropout_rate=0.3)[0], counted)

        loss, gradient = jax.value_and_grad(loss_of)(params)
        updates, _ = optimiser.update(gradient, optimiser.init(params), params)
        return loss, optax.apply_updates(params, updates)

    loss, params = expected(weights.params)
    ours_step = jax.jit(partial(take_step, graph=graph, static=static_of(ALL_ON)))
    found = ours_step(started(), X, LABELS, WEIGHT, KEY, hyper)
    np.testing.assert_allclose(found.loss, loss, rtol=1e-5)
    for ours, theirs in zip(jax.tree.leaves(found.weights.params), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-6)


def test_a_gradient_is_cut_to_the_norm_given_and_keeps_its_direction() -> None:
    long = {"a": jnp.array([3.0, 0.0]), "b": jnp.array([[4.0]])}
    for longest in (0.1, 1.0, 4.9):
        cut = clipped(long, jnp.float32(longest))
        np.testing.assert_allclose(optax.global_norm(cut), longest, rtol=1e-5)
        np.testing.assert_allclose(cut["b"][0, 0] / cut["a"][0], 4 / 3, rtol=1e-5)
    for longest in (5.1, np.inf):
        assert same(clipped(long, jnp.float32(longest)), long)


@pytest.mark.parametrize(("time_share", "frequency_share"), [(0.0, 0.0), (0.25, 0.0), (0.0, 0.5), (1.0, 1.0)])
def test_masks_are_as_wide_as_was_said_at_most_and_none_where_it_was_nothing(
    time_share: float, frequency_share: float
) -> None:
    """Two on each axis, each window its own, wherever they fit."""
    hyper = numbers(replace(ALL_ON, time_mask=time_share, frequency_mask=frequency_share))
    masks = draw_masks(KEY, hyper, (2_000, FRAMES, BANDS))
    for start, width, share, size in (
        (masks.time_start, masks.time_width, time_share, FRAMES),
        (masks.frequency_start, masks.frequency_width, frequency_share, BANDS),
    ):
        assert start.shape == width.shape == (2_000, 2)
        assert np.unique(width).tolist() == list(range(int(share * size) + 1))
        assert int(start.min()) == 0 and int((start + width).max()) == size


def test_bfloat16_computes_in_it_and_keeps_everything_in_float32() -> None:
    graph, _ = network()
    config = TrainConfig(learning_rate=0.01, dropout=0.0)
    exact, short = (step(numbers(config), StepConfig(precision)) for precision in ("float32", "bfloat16"))
    assert {leaf.dtype for leaf in jax.tree.leaves((short.weights, short.loss))} == {jnp.dtype("float32")}
    assert jax.tree.map(lambda leaf: leaf.dtype, short.optimiser) == jax.tree.map(
        lambda leaf: leaf.dtype, exact.optimiser
    )
    assert not same(exact.weights, short.weights)
    np.testing.assert_allclose(short.loss, exact.loss, rtol=0.03)
    for ours, theirs in zip(*(jax.tree.leaves(each.weights.batch_stats) for each in (short, exact)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0.05, atol=0.01)
    for precision in ("float32", "bfloat16"):
        program = jax.make_jaxpr(partial(take_step, graph=graph, static=StepConfig(precision)))(
            started(), X, LABELS, WEIGHT, KEY, numbers(config)
        )
        products = [
            {operand.aval.dtype.name for operand in each.invars}
            for each in equations(program.jaxpr)
            if each.primitive.name in ("conv_general_dilated", "dot_general")
        ]
        # The last layer is small, and float32 because dropout's rate is.
        assert len(products) >= 7 and sum(each != {precision} for each in products) <= 3


def equations(program: Any) -> Iterator[Any]:
    for each in program.eqns:
        yield each
        for inner in jax.tree.leaves(list(each.params.values()), is_leaf=lambda leaf: hasattr(leaf, "jaxpr")):
            if hasattr(inner, "jaxpr"):
                yield from equations(inner.jaxpr)


def test_a_step_depends_on_its_key_alone() -> None:
    hyper, static = numbers(ALL_ON), static_of(ALL_ON)
    assert same(step(hyper, static), step(hyper, static))
    assert not same(step(hyper, static), step(hyper, static, key=jax.random.key(4, impl="unsafe_rbg")))
