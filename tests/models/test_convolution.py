"""Every form of a convolution is lax's, and so are its gradients."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxresp.models import convolution

FORMS = {"direct": convolution.direct, "stacked": convolution.stacked, "matmul": convolution.matmul}
CASES = [
    *(("direct", window, channels) for window in [(5,), (2,), (3, 3)] for channels in (1, 3)),
    *(("stacked", window, 1) for window in [(5,), (2,), (3, 3), (1, 4)]),
    *(("matmul", window, 3) for window in [(5,), (2,), (3, 3)]),
    *(("convolution", window, channels) for window in [(5,), (3, 2)] for channels in (1, 3)),
]


def usual(x: jax.Array, kernel: jax.Array) -> jax.Array:
    letters = "HW"[: x.ndim - 2]
    numbers = (f"N{letters}C", f"{letters}IO", f"N{letters}C")
    return jax.lax.conv_general_dilated(x, kernel, (1,) * len(letters), "SAME", dimension_numbers=numbers)


def drawn(*shape: int, seed: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def with_gradients(function: Callable[..., jax.Array]) -> Callable[..., tuple[jax.Array, ...]]:
    def both(x: jax.Array, kernel: jax.Array, gradient: jax.Array) -> tuple[jax.Array, ...]:
        answer, back = jax.vjp(function, x, kernel)
        return (answer, *back(gradient))

    return both


def assert_same(found: tuple[jax.Array, ...], expected: tuple[jax.Array, ...]) -> None:
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * float(np.abs(b).max()))


@pytest.mark.parametrize("form, window, channels", CASES)
def test_a_form_is_laxs(form: str, window: tuple[int, ...], channels: int) -> None:
    spatial = (9, 6)[: len(window)]
    padding = tuple(((size - 1) // 2, size // 2) for size in window)
    function = partial(FORMS[form], padding=padding) if form in FORMS else convolution.convolution
    given = drawn(2, *spatial, channels, seed=0), drawn(*window, channels, 3, seed=1), drawn(2, *spatial, 3, seed=2)
    assert_same(with_gradients(function)(*given), with_gradients(usual)(*given))


@pytest.mark.parametrize("form", ["in_turn", "matmul", "grouped"])
@pytest.mark.parametrize("axes", [(0, 0, 0), (0, None, 0), (None, 0, 0)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_population_convolves_as_its_members_do(
    monkeypatch: pytest.MonkeyPatch, form: str, axes: tuple[int | None, ...], channels: int
) -> None:
    """Whatever it is that the members have of their own: their windows, their kernels, or both."""
    monkeypatch.setitem(convolution.POPULATION_FORM, jax.default_backend(), form)
    shapes = (2, 9, 6, channels), (3, 2, channels, 4), (2, 9, 6, 4)
    given = [
        drawn(*shape if axis is None else (3, *shape), seed=i)
        for i, (shape, axis) in enumerate(zip(shapes, axes, strict=True))
    ]
    found = jax.vmap(with_gradients(convolution.convolution), in_axes=axes)(*given)
    for i in range(3):
        own = [each if axis is None else each[i] for each, axis in zip(given, axes, strict=True)]
        assert_same(tuple(each[i] for each in found), with_gradients(usual)(*own))


def test_on_a_cpu_a_population_has_no_grouped_convolution() -> None:
    text = str(
        jax.make_jaxpr(jax.vmap(with_gradients(convolution.convolution)))(
            drawn(3, 2, 9, 6, 3, seed=0), drawn(3, 3, 3, 3, 4, seed=1), drawn(3, 2, 9, 6, 4, seed=2)
        )
    )
    groups = re.findall(r"(?:feature|batch)_group_count=(\d+)", text)
    assert groups and set(groups) == {"1"}
