"""Many rows, or one long one, a piece at a time: what fits the cache of a CPU, or the memory of an accelerator.

Signal processing here does little with each sample and makes much of it (frames overlap, spectra are complex), so a CPU
waits for its memory: 64 windows at once take several times as long as one after another. An accelerator wants them all.
Only the CPU's size was measured (experiments/benchmarks/features.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float32

CPU_SAMPLES = 2**18  # 1 MiB of float32, a core's second-level cache
ACCELERATOR_SAMPLES = 2**26  # 256 MiB of float32, and a few times that while it is worked on


def by_rows(
    function: Callable[[Float32[Array, "*rows time"], int], Float32[Array, "*rows *values"]],
    waveform: Float32[Array, "*batch time"],
) -> Float32[Array, "*batch *values"]:
    """`function` of a waveform, in so many rows at a time as make a piece.

    Args:
        function: waveform and samples in a piece → anything, row by row. A row longer than a piece is its own concern.
        waveform: all rows.
    """
    *batch, n_samples = waveform.shape
    rows = math.prod(batch)

    def in_pieces_of(samples: int) -> Callable[[Float32[Array, "*batch time"]], Float32[Array, "*batch *values"]]:
        def run(waveform: Float32[Array, "*batch time"]) -> Float32[Array, "*batch *values"]:
            if rows * n_samples <= samples or rows == 1:
                return function(waveform, samples)
            each = _rows_in_a_piece(rows, max(1, samples // n_samples))
            missing = -rows % each
            flat = waveform.reshape(rows, n_samples)
            if missing:
                flat = jnp.pad(flat, [(0, missing), (0, 0)])
            values = jax.lax.map(lambda piece: function(piece, samples), flat.reshape(-1, each, n_samples))
            values = values.reshape(rows + missing, *values.shape[2:])
            return (values[:rows] if missing else values).reshape(*batch, *values.shape[1:])

        return run

    if rows * n_samples <= CPU_SAMPLES:
        return function(waveform, CPU_SAMPLES)
    return jax.lax.platform_dependent(
        waveform, cpu=in_pieces_of(CPU_SAMPLES), default=in_pieces_of(ACCELERATOR_SAMPLES)
    )


def _rows_in_a_piece(rows: int, most: int) -> int:
    """As many as divide all rows, which spares a copy of everything; where that is few, as many as fit."""
    divisor = max(n for n in range(1, min(rows, most) + 1) if rows % n == 0)
    return divisor if 2 * divisor >= min(rows, most) else -(-rows // -(-rows // most))
