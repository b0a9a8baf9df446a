"""Band-pass, log-mel and MFCC against scipy, librosa and torch: both sides in one run, with medians and ratios.

    python experiments/benchmarks/features.py [--repeats 15] [--write experiments/results/features.md]

64 clips of 5 s at 16 kHz, 1024/512, 64 bands, 20 MFCC; what each side returns is compared before it is timed. Then
the peak memory for an hour of sound in one call, and, where JAX has an accelerator, the log-mel of 5.5 h beside the
bytes it moves. Expected: two minutes on two cores. Targets: log-mel and MFCC ≥ 2.5 × torch and ≥ 2 × librosa,
band-pass ≥ 1 × scipy, an hour ≤ 1.5 GB.

torch is compared where it is installed: it is no dependency (`python -m pip install torch==2.13.0`).
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import scipy.fft
import scipy.signal

from jaxresp.dsp import filters, pieces, spectral
from jaxresp.frontend import LogMel, Mfcc

CLIPS, SECONDS, RATE_HZ, N_FFT, HOP, BANDS, COEFFICIENTS = 64, 5, 16_000, 1024, 512, 64, 20
BAND = {"low_hz": 50.0, "high_hz": 5000.0, "order": 10, "rate_hz": RATE_HZ}
CORPUS_WINDOWS = 3_960  # 5.5 h, ICBHI 2017
Side = Callable[[np.ndarray], object]
Table = list[tuple[str, ...]]


def log_mel(waveform: jax.Array, method: spectral.Method = "auto") -> jax.Array:
    filterbank = spectral.mel_filterbank(rate_hz=RATE_HZ, n_fft=N_FFT, n_mels=BANDS, f_min_hz=0.0, f_max_hz=8000.0)
    mel = spectral.mel_spectrogram(waveform, n_fft=N_FFT, hop_samples=HOP, filterbank=filterbank, method=method)
    return spectral.power_to_db(mel, floor_db=None)


def mfcc(waveform: jax.Array) -> jax.Array:
    """As the front ends take them: the whole chain of some rows before the next rows."""
    return pieces.by_rows(lambda rows, _: spectral.cepstrum(log_mel(rows), COEFFICIENTS), waveform)


def at_once(function: Callable[[jax.Array], jax.Array]) -> Callable[[jax.Array], jax.Array]:
    """The same, traced with pieces so large that nothing is cut."""

    def run(waveform: jax.Array) -> jax.Array:
        usual, pieces.CPU_SAMPLES = pieces.CPU_SAMPLES, pieces.ACCELERATOR_SAMPLES
        try:
            return function(waveform)
        finally:
            pieces.CPU_SAMPLES = usual

    return run


def fft_bandpass(waveform: jax.Array) -> jax.Array:
    """The band-pass as one product in the frequency domain, its impulse response cut where it has decayed."""
    impulse = np.eye(1, 8 * RATE_HZ)[0]
    taps = scipy.signal.sosfilt(sections(), impulse)
    taps = taps[: int(np.flatnonzero(np.abs(taps) > 1e-8 * np.abs(taps).max())[-1]) + 1]
    n = waveform.shape[-1]
    size = scipy.fft.next_fast_len(n + len(taps) - 1, real=True)
    response = jnp.asarray(np.fft.rfft(taps, size).astype(np.complex64))
    return jnp.fft.irfft(jnp.fft.rfft(waveform, size) * response, size)[..., :n]


def scanned_bandpass(waveform: jax.Array) -> jax.Array:
    """The same blocks, whose states follow one after another in a `lax.scan` instead of by doubling."""
    by, n = filters.block_filter(**BAND), waveform.shape[-1]
    block = by.ringing.shape[-1]
    blocks = jnp.pad(waveform, [(0, 0), (0, -n % block)]).reshape(len(waveform), -1, block)
    product = filters._product(blocks, by.within)

    def step(state: jax.Array, added: jax.Array) -> tuple[jax.Array, jax.Array]:
        return filters._product(state, by.powers[0]) + added, state

    rest = jnp.zeros((len(waveform), len(by.ringing)))
    _, states = jax.lax.scan(step, rest, jnp.moveaxis(product[..., block:], 1, 0))
    ringing = filters._product(jnp.moveaxis(states, 0, 1), by.ringing)
    return (product[..., :block] + ringing).reshape(len(waveform), -1)[:, :n]


def sections() -> np.ndarray:
    return filters.butterworth_bandpass(**BAND)


def librosa_log_mel(waveform: np.ndarray) -> np.ndarray:
    mel = librosa.feature.melspectrogram(
        y=waveform, sr=RATE_HZ, n_fft=N_FFT, hop_length=HOP, n_mels=BANDS, pad_mode="constant"
    )
    return librosa.power_to_db(mel, top_db=None)


def librosa_mfcc(waveform: np.ndarray) -> np.ndarray:
    return librosa.feature.mfcc(S=librosa_log_mel(waveform), n_mfcc=COEFFICIENTS)


def torch_sides() -> tuple[str, dict[str, Side]]:
    """Its version, and the same features by torch.stft and products, on two threads."""
    try:
        import torch
    except ImportError:
        return "not installed (python -m pip install torch==2.13.0)", {}
    torch.set_num_threads(2)
    window = torch.from_numpy(spectral.hann(N_FFT).copy())
    filterbank = torch.from_numpy(librosa.filters.mel(sr=RATE_HZ, n_fft=N_FFT, n_mels=BANDS).T.copy())
    dct = torch.from_numpy(spectral.dct_matrix(BANDS, COEFFICIENTS).copy())

    @torch.inference_mode()
    def log_mel(waveform: np.ndarray) -> torch.Tensor:
        spectrum = torch.stft(
            torch.from_numpy(waveform), N_FFT, HOP, window=window, pad_mode="constant", return_complex=True
        )
        power = torch.view_as_real(spectrum).square().sum(-1).transpose(1, 2)
        return 10.0 * torch.log10(torch.clamp(power @ filterbank, min=1e-10))

    @torch.inference_mode()
    def mfcc(waveform: np.ndarray) -> torch.Tensor:
        return log_mel(waveform) @ dct

    return f"{torch.__version__}, 2 threads", {"log-mel": log_mel, "MFCC": mfcc}


def medians_ms(sides: dict[str, Side], waveform: np.ndarray, repeats: int) -> dict[str, float]:
    """Median time of each side; the sides take turns, so that what else the machine does falls on all of them.

    Each is given the sound in its own kind of array, so that no copy is timed.
    """
    on_device = jax.device_put(waveform)
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in range(repeats + 2):
        for name, call in sides.items():
            started = time.perf_counter()
            jax.block_until_ready(call(on_device if name.startswith("ours") else waveform))
            if repeat >= 2:  # the first compiles, the second fills caches
                taken[name].append(time.perf_counter() - started)
    return {name: float(np.median(seconds)) * 1e3 for name, seconds in taken.items()}


def compared(repeats: int) -> tuple[str, Table]:
    waveform = np.random.default_rng(0).standard_normal((CLIPS, SECONDS * RATE_HZ)).astype(np.float32)
    version, torchs = torch_sides()
    single = sections().astype(np.float32)  # scipy then computes in float32 too
    rows: dict[str, dict[str, Side]] = {
        "band-pass, causal": {
            "ours": jax.jit(partial(filters.bandpass, **BAND)),
            "scipy.signal.sosfilt": lambda x: scipy.signal.sosfilt(single, x),
            "ours by one FFT": jax.jit(fft_bandpass),
            "ours by lax.scan": jax.jit(scanned_bandpass),
            "ours, not in pieces": jax.jit(at_once(partial(filters.bandpass, **BAND))),
        },
        "band-pass, zero phase": {
            "ours": jax.jit(partial(filters.bandpass_zero_phase, **BAND)),
            "scipy.signal.sosfiltfilt": lambda x: scipy.signal.sosfiltfilt(sections(), x),
        },
        "log-mel": {
            "ours": jax.jit(log_mel),
            "librosa": librosa_log_mel,
            **({"torch": torchs["log-mel"]} if torchs else {}),
            "ours, not in pieces": jax.jit(at_once(log_mel)),
            "ours by matmul (for a TPU)": jax.jit(partial(log_mel, method="matmul")),
        },
        "MFCC": {
            "ours": jax.jit(mfcc),
            "librosa": librosa_mfcc,
            **({"torch": torchs["MFCC"]} if torchs else {}),
        },
        "front end LogMel(), band-pass and level included": {"ours": jax.jit(LogMel())},
        "front end Mfcc(), the same": {"ours": jax.jit(Mfcc())},
    }
    table: Table = []
    for what, sides in rows.items():
        ours = np.asarray(sides["ours"](waveform))
        for name, call in sides.items():
            theirs = np.asarray(call(waveform))
            theirs = np.swapaxes(theirs, -1, -2) if name == "librosa" else theirs
            # Single-precision sections are off by 5e-5 of the peak: that is scipy's error, not ours.
            np.testing.assert_allclose(theirs, ours, rtol=0, atol=2e-4 * np.abs(ours).max(), err_msg=f"{what}, {name}")
        times = medians_ms(sides, waveform, repeats)
        for name, taken in times.items():
            ratio = "" if name == "ours" else f"{taken / times['ours']:.2f}"
            table.append((what, name, f"{taken:.1f}", ratio))
        if what in ("log-mel", "MFCC") and not torchs:
            table.append((what, f"torch: {version}", "", ""))
    return version, table


def peak_gb() -> float:
    """The most memory this process has had. (ru_maxrss would count its parent's too.)"""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024 / 1e9  # type: ignore[index]


def hour_in_one_call() -> None:
    """In a process of its own: peak resident memory before and after."""
    rng = np.random.default_rng(0)
    call = jax.jit(Mfcc())
    jax.block_until_ready(call(np.zeros(4 * N_FFT, np.float32)))  # compiling costs memory of its own
    before = peak_gb()
    hour = rng.standard_normal(3_600 * RATE_HZ, dtype=np.float32)
    started = time.perf_counter()
    jax.block_until_ready(call(hour))
    print(f"{peak_gb():.2f} {before:.2f} {time.perf_counter() - started:.1f}")


def on_an_accelerator(windows: int = CORPUS_WINDOWS) -> list[str]:
    """Log-mel of a whole corpus in one call, beside the bytes that XLA says it moves and the measured bandwidth."""
    if jax.default_backend() == "cpu":
        return ["No accelerator here: log-mel of 5.5 h was not measured on one."]
    return _corpus_on_device(windows)


def _corpus_on_device(windows: int) -> list[str]:
    corpus = jax.random.normal(jax.random.key(0), (windows, SECONDS * RATE_HZ))
    compiled = jax.jit(log_mel).lower(corpus).compile()
    moved = float(compiled.cost_analysis()["bytes accessed"])

    def seconds(call: Callable[[jax.Array], jax.Array]) -> float:
        taken = []
        for _ in range(7):
            started = time.perf_counter()
            jax.block_until_ready(call(corpus))
            taken.append(time.perf_counter() - started)
        return float(np.median(taken[2:]))

    copy = jax.jit(lambda x: x + 1.0)
    bandwidth = 2 * corpus.nbytes / seconds(copy)
    taken = seconds(compiled)
    return [
        f"Log-mel of {windows * SECONDS / 3600:.1f} h on {jax.devices()[0].device_kind}: {taken * 1e3:.1f} ms; "
        f"{moved / 1e9:.1f} GB moved by XLA's own count, {moved / 1e9 / taken:.0f} GB/s, "
        f"beside {bandwidth / 1e9:.0f} GB/s for a copy."
    ]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--repeats", type=int, default=15)
    arguments.add_argument("--write", type=Path, help="A Markdown file to put the result into.")
    arguments.add_argument("--hour", action="store_true", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.hour:
        hour_in_one_call()
        return
    version, table = compared(options.repeats)
    hour = subprocess.run([sys.executable, __file__, "--hour"], capture_output=True, text=True, check=True)
    peak, before, taken = hour.stdout.split()
    lines = [
        "# Band-pass, log-mel and MFCC",
        "",
        "`python experiments/benchmarks/features.py`",
        "",
        f"jax {jax.__version__}, Python {platform.python_version()}, {os.cpu_count()} CPU cores, load "
        f"{os.getloadavg()[0]:.1f}; scipy {scipy.__version__}, librosa {librosa.__version__}, torch {version}. "
        f"{CLIPS} clips of {SECONDS} s at {RATE_HZ} Hz, {N_FFT}/{HOP}, {BANDS} bands, {COEFFICIENTS} MFCC. "
        f"Medians of {options.repeats}, the sides taking turns.",
        "",
        "| what | side | ms | times ours |",
        "| --- | --- | --- | --- |",
        *("| " + " | ".join(row) + " |" for row in table),
        "",
        f"An hour of sound through Mfcc() in one call: peak memory of the process {peak} GB ({before} GB before the "
        f"sound was made, 0.23 GB the sound itself), {taken} s with compiling.",
        "",
        *on_an_accelerator(),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.write:
        options.write.write_text(text)


if __name__ == "__main__":
    main()
