"""Butterworth band-pass, causal and zero-phase; DC removal; pre-emphasis. Designed in float64, applied in float32.

A recursive filter walks sample by sample, which neither XLA nor an accelerator likes. Cut into blocks of L samples it
is a few matrix products, on every backend alike: with the state s at the start of a block,

    output of a block = T x + O s         T: the impulse response as a triangular matrix, O: how a state rings out
    next state        = A^L s + B x

and since A never changes, all block states follow in log₂(blocks) steps of doubling, s[k] += A^(L 2^i) s[k - 2^i]: the
parallel prefix of Hillis & Steele (CACM 29, 1986). Other ways stand beside it in experiments/benchmarks/features.py.

States are scaled so that white noise makes them uncorrelated and of power one (input-normal form: Mullis & Roberts,
IEEE Trans. Circuits Syst. 23, 1976). That is what lets float32 hold ten poles beside the unit circle.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
import scipy.signal
from jaxtyping import Array, Float32, Float64

from jaxresp.dsp import pieces
from jaxresp.errors import JaxrespError

_BLOCK_SAMPLES = 128  # of 64, 96, 128, 160 and 200 the fastest on a CPU
_FORGOTTEN = 1e-9  # a state this much smaller is below float32's resolution of the one that follows it
_LONGEST_S = 8.0  # a band edge of a few Hz still decays to _FORGOTTEN within this
_DESIGN_ERROR = 1e-6  # of the peak: how far the blocks may differ from the sections they were made from


class FilterError(JaxrespError):
    """A filter that cannot be designed, or a waveform too short for it."""


class BlockFilter(NamedTuple):
    """A recursive filter as the matrices of its blocks; row vectors, so that blocks multiply from the left.

    Attributes:
        within: a block of input → its output from rest, and what it adds to the state at its end.
        ringing: the state at the start of a block → what it adds to the output.
        powers: the state → the state 1, 2, 4, … blocks later, for as long as anything is left of it.
        settled: the state in which a constant input of one has come to rest.
    """

    within: Float32[np.ndarray, "block block_and_states"]
    ringing: Float32[np.ndarray, "states block"]
    powers: tuple[Float32[np.ndarray, "states states"], ...]
    settled: Float32[np.ndarray, " states"]


@lru_cache(maxsize=32)
def butterworth_bandpass(low_hz: float, high_hz: float, order: int, rate_hz: int) -> Float64[np.ndarray, "sections 6"]:
    """Second-order sections of a Butterworth band-pass, -3 dB at both edges.

    `order` counts as in scipy.signal.butter: the slope of each edge, so the filter has 2 × order poles
    (Oppenheim & Schafer, Discrete-Time Signal Processing, 3rd ed., ch. 7). Cached: do not write into the result.

    Raises:
        FilterError: edges that are not 0 < low < high < rate / 2, or an order below one.
    """
    if not 0 < low_hz < high_hz < rate_hz / 2 or order < 1:
        raise FilterError(
            f"no band-pass of order {order} from {low_hz:g} to {high_hz:g} Hz at a rate of {rate_hz} Hz; "
            f"the edges must be 0 < low < high < {rate_hz / 2:g} Hz and the order at least 1"
        )
    return scipy.signal.butter(order, [low_hz, high_hz], btype="bandpass", fs=rate_hz, output="sos")


@lru_cache(maxsize=32)
def block_filter(
    low_hz: float, high_hz: float, order: int, rate_hz: int, block_samples: int = _BLOCK_SAMPLES
) -> BlockFilter:
    """The band-pass in blocks. Cached: do not write into the result.

    Raises:
        FilterError: as `butterworth_bandpass`; edges so low or so near each other that the filter rings longer than
            8 s, or that float64 cannot hold it.
    """
    sos = butterworth_bandpass(low_hz, high_hz, order, rate_hz)
    name = f"a band-pass of order {order} from {low_hz:g} to {high_hz:g} Hz"
    radius = max(np.abs(np.roots(section[3:])).max() for section in sos)
    if not radius ** (_LONGEST_S * rate_hz) < _FORGOTTEN:
        raise FilterError(
            f"{name} rings longer than {_LONGEST_S:g} s; move its edges away from 0 and {rate_hz / 2:g} Hz, or widen it"
        )
    a, b, c = _input_normal(*_state_space(sos))
    ringing = np.empty((len(b), block_samples))  # column i is C Aⁱ
    entering = np.empty((block_samples, len(b)))  # row i is A^(L - 1 - i) B
    row, column = c, b
    for i in range(block_samples):
        ringing[:, i], entering[-1 - i] = row, column
        row, column = row @ a, a @ column
    response = scipy.signal.sosfilt(sos, np.eye(1, 2 * block_samples)[0])
    if not np.abs(entering[0] @ ringing - response[block_samples:]).max() < _DESIGN_ERROR * np.abs(response).max():
        raise FilterError(f"{name} has poles too near each other for float64; lower its order or widen it")

    power, powers = np.linalg.matrix_power(a, block_samples).T, []
    while np.abs(power).max() > _FORGOTTEN:
        powers.append(power.astype(np.float32))
        power = power @ power
    causal = scipy.linalg.toeplitz(np.r_[response[0], np.zeros(block_samples - 1)], response[:block_samples])
    return BlockFilter(
        within=np.hstack([causal, entering]).astype(np.float32),
        ringing=ringing.astype(np.float32),
        powers=tuple(powers),
        settled=np.linalg.solve(np.eye(len(b)) - a, b).astype(np.float32),
    )


_System = tuple[Float64[np.ndarray, "states states"], Float64[np.ndarray, " states"], Float64[np.ndarray, " states"]]


def _state_space(sos: Float64[np.ndarray, "sections 6"]) -> _System:
    """A, B, C of the cascade; each section's states are scaled alone first, so that the whole is well conditioned."""
    a, b, c, through = np.zeros((0, 0)), np.zeros(0), np.zeros(0), 1.0
    for b0, b1, b2, _, a1, a2 in sos:
        one_a, one_b, one_c = _input_normal(
            np.array([[-a1, 1.0], [-a2, 0.0]]), np.array([b1 - a1 * b0, b2 - a2 * b0]), np.array([1.0, 0.0])
        )
        a = np.block([[a, np.zeros((len(b), 2))], [np.outer(one_b, c), one_a]])
        b, c, through = np.r_[b, one_b * through], np.r_[b0 * c, one_c], through * b0
    return a, b, c


def _input_normal(
    a: Float64[np.ndarray, "states states"], b: Float64[np.ndarray, " states"], c: Float64[np.ndarray, " states"]
) -> _System:
    """The same system with states that white noise makes uncorrelated and of power one.

    Their covariance Σ Aᵏ B Bᵀ Aᵏᵀ is summed by doubling (Smith, SIAM J. Appl. Math. 16, 1968), as its triangular
    factor: squaring would cost half the digits.
    """
    factor, power = b[:, None], a
    while np.abs(power).max() > 1e-17:
        factor = np.asarray(np.linalg.qr(np.hstack([factor, power @ factor]).T, mode="r")).T
        power = power @ power
    scaled_a = scipy.linalg.solve_triangular(factor, a @ factor, lower=True)
    return scaled_a, scipy.linalg.solve_triangular(factor, b, lower=True), c @ factor


def bandpass(
    waveform: Float32[Array, "*batch time"], *, low_hz: float, high_hz: float, order: int, rate_hz: int
) -> Float32[Array, "*batch time"]:
    """The causal Butterworth band-pass, from rest: scipy.signal.sosfilt to within 1e-5 of the peak.

    Each row is filtered by itself: a sample that is not finite spoils the rest of its own row, and no other.

    Raises:
        FilterError: as `block_filter` does.
    """
    designed = block_filter(low_hz, high_hz, order, rate_hz)
    return pieces.by_rows(partial(_filtered, designed), waveform)


def bandpass_zero_phase(
    waveform: Float32[Array, "*batch time"], *, low_hz: float, high_hz: float, order: int, rate_hz: int
) -> Float32[Array, "*batch time"]:
    """Forwards, then backwards: no delay, −6 dB at both edges. scipy.signal.sosfiltfilt, its padding included.

    Not causal: what is heard at a moment depends on what follows. For measuring, and for pictures.

    Raises:
        FilterError: as `block_filter` does, and a waveform not longer than the padding of 6 × order + 3 samples.
    """
    designed = block_filter(low_hz, high_hz, order, rate_hz)
    n_samples, edge = waveform.shape[-1], 3 * (2 * order + 1)
    if n_samples <= edge:
        raise FilterError(f"{n_samples} samples are too few for a zero-phase band-pass; it needs more than {edge}")

    def there_and_back(waveform: Float32[Array, "*rows time"], at_once: int) -> Float32[Array, "*rows time"]:
        # Reflected about its first and its last point, as scipy does: no step at either end.
        first, last = waveform[..., :1], waveform[..., -1:]
        before, after = waveform[..., edge:0:-1], waveform[..., -2 : -edge - 2 : -1]
        padded = jnp.concatenate([2 * first - before, waveform, 2 * last - after], axis=-1)
        for _ in range(2):
            padded = jnp.flip(_filtered(designed, padded, at_once, settled_at=padded[..., :1]), axis=-1)
        return padded[..., edge : edge + n_samples]

    return pieces.by_rows(there_and_back, waveform)


def _filtered(
    by: BlockFilter,
    waveform: Float32[Array, "*rows time"],
    at_once: int,
    settled_at: Float32[Array, "*rows 1"] | None = None,
) -> Float32[Array, "*rows time"]:
    """Filter from rest, or from where a constant `settled_at` has led; a long row in parts, from state to state."""
    *rows, n_samples = waveform.shape
    block, states = by.ringing.shape[-1], by.ringing.shape[0]
    n_parts = -(-n_samples // at_once)
    n_blocks = -(-n_samples // (n_parts * block))  # per part
    lead = [(0, 0)] * len(rows)
    padded = jnp.pad(waveform, [*lead, (0, n_parts * n_blocks * block - n_samples)])
    state = jnp.zeros((*rows, states), waveform.dtype) if settled_at is None else settled_at * by.settled
    if n_parts == 1:
        _, filtered = _filtered_part(by, state, padded.reshape(*rows, n_blocks, block))
    else:
        parts = jnp.moveaxis(padded.reshape(*rows, n_parts, n_blocks, block), -3, 0)
        _, filtered = jax.lax.scan(partial(_filtered_part, by), state, parts)
        filtered = jnp.moveaxis(filtered, 0, -3)
    return filtered.reshape(*rows, -1)[..., :n_samples]


def _filtered_part(
    by: BlockFilter, state: Float32[Array, "*rows states"], blocks: Float32[Array, "*rows blocks block"]
) -> tuple[Float32[Array, "*rows states"], Float32[Array, "*rows blocks block"]]:
    """The state at the end, and the output."""
    n_blocks, block = blocks.shape[-2:]
    product = _product(blocks, by.within)
    from_rest, added = product[..., :block], product[..., block:]
    states = jnp.concatenate([state[..., None, :], added], axis=-2)  # what enters at the start of each block, and after
    for i, power in enumerate(by.powers):
        if 2**i > n_blocks:
            break
        earlier = jnp.pad(states[..., : n_blocks + 1 - 2**i, :], [(0, 0)] * (states.ndim - 2) + [(2**i, 0), (0, 0)])
        states = states + _product(earlier, power)
    return states[..., -1, :], from_rest + _product(states[..., :-1, :], by.ringing)


def _product(x: Float32[Array, "*batch n"], matrix: Float32[np.ndarray, "n m"]) -> Float32[Array, "*batch m"]:
    return jnp.matmul(x, jnp.asarray(matrix), precision=jax.lax.Precision.HIGHEST)


def remove_dc(waveform: Float32[Array, "*batch time"]) -> Float32[Array, "*batch time"]:
    """The waveform about its own mean: a sensor's offset would ring in a filter that starts from rest."""
    return waveform - waveform.mean(axis=-1, keepdims=True)


def pre_emphasis(waveform: Float32[Array, "*batch time"], coefficient: float) -> Float32[Array, "*batch time"]:
    """x[t] − coefficient × x[t − 1], the first sample as it is: lifts high frequencies by up to 6 dB per octave.

    Raises:
        FilterError: a coefficient outside [0, 1).
    """
    if not 0 <= coefficient < 1:
        raise FilterError(f"the pre-emphasis coefficient is {coefficient}; it lies in [0, 1), and 0 changes nothing")
    lead = [(0, 0)] * (waveform.ndim - 1)
    return waveform - coefficient * jnp.pad(waveform[..., :-1], [*lead, (1, 0)])
