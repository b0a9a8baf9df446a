"""Taking rows some at a time changes nothing but the time it takes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxresp.dsp import pieces


def sums_and_size(waveform: jax.Array, at_once: int) -> jax.Array:
    """Depends on every sample of its row, on their order, and on nothing else."""
    assert at_once >= 1
    return jnp.cumsum(waveform, axis=-1)[..., ::3]


@pytest.mark.parametrize("batch", [(), (1,), (7,), (8,), (13,), (2, 3), (0,)])
@pytest.mark.parametrize("rows_in_a_piece", [0.5, 1, 3, 5, 100])
def test_rows_come_back_whole_and_in_order(
    batch: tuple[int, ...], rows_in_a_piece: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "CPU_SAMPLES", int(10 * rows_in_a_piece))
    waveform = jnp.asarray(np.random.default_rng(0).standard_normal((*batch, 10)), jnp.float32)
    ours = jax.jit(lambda x: pieces.by_rows(sums_and_size, x))(waveform)
    np.testing.assert_allclose(ours, np.cumsum(waveform, axis=-1)[..., ::3], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("rows", "most"), [(64, 3), (7, 5), (13, 4), (1, 1), (100, 7), (9_973, 262)])
def test_a_piece_holds_no_more_than_fits_and_never_less_than_half(rows: int, most: int) -> None:
    each = pieces._rows_in_a_piece(rows, most)
    assert min(rows, most) / 2 <= each <= most


@pytest.mark.parametrize(("platform", "one_after_another"), [("cpu", True), ("cuda", False), ("tpu", False)])
def test_only_a_cpu_takes_a_batch_one_after_another(platform: str, one_after_another: bool) -> None:
    traced = jax.jit(lambda x: pieces.by_rows(sums_and_size, x)).trace(jax.ShapeDtypeStruct((64, 80_000), jnp.float32))
    assert ("while" in traced.lower(lowering_platforms=(platform,)).as_text()) == one_after_another
