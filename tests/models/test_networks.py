"""One table of laws over every network that is registered, and over the blocks they are built of."""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jaxresp import models
from jaxresp.models import NETWORKS, NetworkConfig, UnknownNetwork, Weights, register_network

every = pytest.mark.parametrize("name", list(NETWORKS))
FRAMES, COEFFICIENTS = 19, 13  # odd at every pooling but one


@cache
def created(name: str, seed: int = 0) -> tuple[nnx.GraphDef, Weights]:
    """A network whose arrays, running statistics among them, are drawn by NumPy: initialising compiles for seconds."""
    graph, weights = nnx.eval_shape(
        lambda: models.create(NetworkConfig(name, filters=2, dense=8), COEFFICIENTS, 3, seed=0)
    )
    rng = np.random.default_rng(seed)

    def draw(path: tuple[object, ...], leaf: jax.ShapeDtypeStruct) -> jax.Array:
        positive = any(word in jax.tree_util.keystr(path) for word in ("var", "scale"))
        value = rng.uniform(0.5, 1.5, leaf.shape) if positive else rng.normal(0, 0.5, leaf.shape)
        return jnp.asarray(value.astype(leaf.dtype))

    return graph, jax.tree_util.tree_map_with_path(draw, weights)


@cache
def compiled(name: str):  # type: ignore[no-untyped-def]
    """features [4, FRAMES, COEFFICIENTS], seed of the weights → logits, by one compiled function."""
    graph, _ = created(name)
    function = jax.jit(lambda weights, x: models.apply(graph, weights, x))
    return lambda x, seed=0: function(created(name, seed)[1], x)


@cache
def trained(name: str):  # type: ignore[no-untyped-def]
    """In training: (running statistics, features, seed of dropout, its rate) → logits, statistics, gradients."""
    graph, weights = created(name)

    @jax.jit
    def step(stats: nnx.State, x: jax.Array, seed: int, rate: float) -> tuple[jax.Array, nnx.State, nnx.State]:
        def loss(params: nnx.State) -> tuple[jax.Array, tuple[jax.Array, nnx.State]]:
            logits, after = models.apply_training(
                graph, Weights(params, stats), x, key=jax.random.key(seed), dropout_rate=rate
            )
            return jnp.square(logits - 1.0).mean(), (logits, after)

        (_, (logits, after)), gradients = jax.value_and_grad(loss, has_aux=True)(weights.params)
        return logits, after, gradients

    return step


def features(n: int = 4, frames: int = FRAMES, coefficients: int = COEFFICIENTS, seed: int = 0) -> jax.Array:
    """Drawn by NumPy, which compiles nothing for a new shape."""
    return jnp.asarray(np.random.default_rng(seed).normal(size=(n, frames, coefficients)).astype(np.float32))


@every
def test_eager_jit_and_vmap_agree(name: str) -> None:
    graph, weights = created(name)
    x = features()
    together = compiled(name)(x)
    assert together.shape == (4, 3)
    assert together.dtype == jnp.float32
    np.testing.assert_allclose(models.apply(graph, weights, x), together, atol=1e-5)
    alone = jax.jit(jax.vmap(lambda one: models.apply(graph, weights, one[None])[0]))
    np.testing.assert_allclose(alone(x), together, atol=1e-5)


@every
def test_a_population_of_weights_can_be_vmapped(name: str) -> None:
    graph, _ = created(name)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(created(name, seed)[1] for seed in (0, 1)))
    x = features()
    population = jax.jit(jax.vmap(lambda weights: models.apply(graph, weights, x)))(stacked)
    for seed, one in enumerate(population):
        np.testing.assert_allclose(one, compiled(name)(x, seed), atol=1e-5)


@every
@pytest.mark.parametrize("frames", [1, 3, 7, 8, 157])
def test_any_number_of_frames_is_answered(name: str, frames: int) -> None:
    graph, weights = created(name)
    assert jax.eval_shape(lambda x: models.apply(graph, weights, x), features(2, frames)).shape == (2, 3)


@every
def test_a_single_frame_is_answered_with_numbers(name: str) -> None:
    """Where pooling has nothing left to halve."""
    assert np.isfinite(compiled(name)(features(frames=1))).all()


@every
@pytest.mark.parametrize("coefficients", [1, 5, 20, 53])
@pytest.mark.parametrize("n_outputs", [1, 8])
def test_any_number_of_coefficients_and_outputs(name: str, coefficients: int, n_outputs: int) -> None:
    def answer() -> jax.Array:
        graph, weights = models.create(NetworkConfig(name, filters=3, dense=8), coefficients, n_outputs, seed=0)
        return models.apply(graph, weights, jnp.zeros((2, 20, coefficients)))

    assert jax.eval_shape(answer).shape == (2, n_outputs)


@every
def test_rows_of_a_served_batch_do_not_see_each_other(name: str) -> None:
    x = features()
    changed = x.at[1:].set(100.0)
    np.testing.assert_allclose(compiled(name)(changed)[0], compiled(name)(x)[0], atol=1e-5)


@every
def test_serving_has_no_dropout_and_training_has(name: str) -> None:
    x, stats = features(), created(name)[1].batch_stats
    np.testing.assert_array_equal(compiled(name)(x), compiled(name)(x))

    def train(seed: int, rate: float) -> jax.Array:
        return trained(name)(stats, x, seed, rate)[0]

    np.testing.assert_array_equal(train(0, 0.0), train(1, 0.0))
    assert not np.array_equal(train(0, 0.5), train(1, 0.5))
    np.testing.assert_array_equal(train(0, 0.5), train(0, 0.5))


@every
def test_a_network_serves_what_it_trained_once_its_running_statistics_have_settled(name: str) -> None:
    graph, weights = created(name)
    x, stats = features(), weights.batch_stats
    for _ in range(100):
        logits, stats, _ = trained(name)(stats, x, 0, 0.0)
    served = jax.jit(lambda stats: models.apply(graph, Weights(weights.params, stats), x))
    np.testing.assert_allclose(served(stats), logits, atol=0.02)
    assert np.abs(served(weights.batch_stats) - logits).max() > 0.1


@every
def test_every_parameter_learns(name: str) -> None:
    *_, gradients = trained(name)(created(name)[1].batch_stats, features(), 0, 0.0)
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradients):
        assert np.abs(leaf).max() > 0, path


def test_the_seed_alone_decides_the_weights() -> None:
    def arrays(seed: int) -> list[np.ndarray]:
        network = models.create(NetworkConfig("cnn1d", filters=2, dense=8), COEFFICIENTS, 3, seed)
        return [np.asarray(leaf) for leaf in jax.tree.leaves(network[1].params)]

    first, again, other = arrays(0), arrays(0), arrays(1)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


logits = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(1, 5)),
    elements=st.floats(-80, 80, width=32),
)


@given(logits=logits)
@settings(deadline=None, max_examples=50)
def test_probabilities_spell_out_every_class_and_their_argmax_is_the_answer(logits: np.ndarray) -> None:
    p = models.probabilities(logits)
    n_classes = max(logits.shape[1], 2)
    assert isinstance(p, np.ndarray)
    assert p.shape == (len(logits), n_classes)
    assert p.dtype == np.float32
    np.testing.assert_allclose(p.sum(1), 1.0, atol=1e-6)
    assert ((p >= 0) & (p <= 1)).all()
    if logits.shape[1] == 1:
        np.testing.assert_allclose(p[:, 1], 1 / (1 + np.exp(-logits[:, 0].astype(float))), atol=1e-6)
        clear = np.abs(logits[:, 0]) > 1e-6
        np.testing.assert_array_equal(p.argmax(1)[clear], (logits[:, 0] > 0)[clear])
    else:
        clear = (logits == logits.max(1, keepdims=True)).sum(1) == 1
        best = np.take_along_axis(p, logits.argmax(1)[:, None], 1)[:, 0]
        np.testing.assert_array_equal(best[clear], p.max(1)[clear])


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_probabilities_of_numpy_and_of_jax_agree(n_outputs: int) -> None:
    logits = np.random.default_rng(0).normal(0, 5, (20, n_outputs)).astype(np.float32)
    theirs = models.probabilities(jnp.asarray(logits))
    assert isinstance(theirs, jax.Array)
    np.testing.assert_allclose(models.probabilities(logits), theirs, atol=1e-6)


def test_extreme_logits_stay_probabilities() -> None:
    for logits in (np.array([[1e30], [-1e30]], np.float32), np.array([[1e30, -1e30, 0.0]], np.float32)):
        assert np.isfinite(models.probabilities(logits)).all()


def test_an_unknown_network_names_the_nearest() -> None:
    with pytest.raises(UnknownNetwork, match=r"'cnn3d'.*cnn1d, cnn2d.*Did you mean 'cnn[12]d'"):
        NetworkConfig("cnn3d")


@pytest.mark.parametrize("width", [{"filters": 0}, {"dense": 0}])
def test_a_network_has_width(width: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="positive"):
        NetworkConfig("cnn1d", **width)


def test_a_network_of_ones_own_is_known_by_its_name_and_no_name_is_taken_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(models, "NETWORKS", dict(NETWORKS))

    def build(*args: object, **widths: object) -> nnx.Module:
        return NETWORKS["cnn1d"](*args, **widths)

    register_network("own", build)
    register_network("own", build)  # a module may be imported again
    graph, weights = nnx.eval_shape(lambda: models.create(NetworkConfig("own", 2, 8), COEFFICIENTS, 3, seed=0))
    assert graph == created("cnn1d")[0]
    assert jax.tree.structure(weights) == jax.tree.structure(created("cnn1d")[1])
    with pytest.raises(ValueError, match="'cnn2d' exists already"):
        register_network("cnn2d", build)
