"""Every form of a convolution is lax's, and so are its gradients."""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np
import pytest

from jaxresp.models import convolution

FORMS = {"direct": convolution.direct, "stacked": convolution.stacked}
CASES = [
    *(("direct", window, channels) for window in [(5,), (2,), (3, 3)] for channels in (1, 3)),
    *(("stacked", window, 1) for window in [(5,), (2,), (3, 3), (1, 4)]),
]


@pytest.mark.parametrize("form, window, channels", CASES)
def test_a_form_is_laxs(form: str, window: tuple[int, ...], channels: int) -> None:
    rng, spatial = np.random.default_rng(0), (9, 6)[: len(window)]
    x = rng.normal(size=(2, *spatial, channels)).astype(np.float32)
    kernel = rng.normal(size=(*window, channels, 3)).astype(np.float32)
    gradient = rng.normal(size=(2, *spatial, 3)).astype(np.float32)

    def usual(x: jax.Array, kernel: jax.Array) -> jax.Array:
        letters = "HW"[: len(window)]
        numbers = (f"N{letters}C", f"{letters}IO", f"N{letters}C")
        return jax.lax.conv_general_dilated(x, kernel, (1,) * len(window), "SAME", dimension_numbers=numbers)

    def with_gradients(function: Callable[..., jax.Array]) -> list[jax.Array]:
        answer, back = jax.vjp(function, x, kernel)
        return [answer, *back(gradient)]

    for found, expected in zip(with_gradients(FORMS[form]), with_gradients(usual), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * float(np.abs(expected).max()))
