"""What augmentation costs: against librosa.effects at equal settings, each one by itself, and beside a training step.

    python experiments/benchmarks/augmentation.py [--repeats 7] [--write]

Expected: two to three minutes on two cores; pitch shift + stretch + noise at least three times as fast as librosa.
A batch of 64 clips of 5 s at 16 kHz. Sides alternate within each repeat; times are medians. The first table is what is
compared: librosa shifts and stretches a batch one call after the other, jaxresp does both in one vocoder, as its
training does, and also one after the other. --write puts the tables into experiments/results/augmentation.md.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import librosa
import numpy as np

from jaxresp import models
from jaxresp.dsp import augment
from jaxresp.dsp.augment import AugmentConfig, JoinConfig, MixupConfig, SpecAugmentConfig
from jaxresp.frontend import FrontEnd, frontend_named
from jaxresp.train import TrainConfig
from jaxresp.train.step import begin, hyper_of, static_of, train_step

BATCH, RATE_HZ, N_SAMPLES = 64, 16_000, 80_000
N_FFT, HOP_SAMPLES = 1_024, 256
RATE, SEMITONES, SNR_DB = 1.1, 2.0, 20.0  # librosa takes one value for a batch; ours would take one per example
RESULT = Path(__file__).resolve().parents[1] / "results" / "augmentation.md"


def median_ms(calls: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Medians of the repeats, in each of which every side is called once; the first repeat compiles and is left out."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for repeat in range(repeats + 1):
        for name, call in calls.items():
            started = time.perf_counter()
            jax.block_until_ready(call())
            if repeat > 0:
                times[name].append((time.perf_counter() - started) * 1e3)
    return {name: float(np.median(values)) for name, values in times.items()}


def waveforms() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (0.1 * rng.standard_normal((BATCH, N_SAMPLES))).astype(np.float32)


def filled(value: float, n: int = BATCH) -> jax.Array:
    return jnp.full(n, value, jnp.float32)


def against_librosa(repeats: int) -> list[str]:
    x = waveforms()
    # Everything is an argument: what a compiled function holds as a constant is computed once, when it is compiled.
    sound, keys = jnp.asarray(x), jax.random.split(jax.random.key(0), BATCH)
    rate, semitones, snr_db = filled(RATE), filled(SEMITONES), filled(SNR_DB)
    rng = np.random.default_rng(1)

    def their_noise(x: np.ndarray) -> np.ndarray:
        noise = rng.standard_normal(x.shape, np.float32)
        level = np.sqrt(np.mean(x**2, axis=1) / np.mean(noise**2, axis=1)) * 10 ** (-SNR_DB / 20)
        return x + noise * level[:, None].astype(np.float32)

    settings = {"n_fft": N_FFT, "hop_length": HOP_SAMPLES}
    their_stretch = partial(librosa.effects.time_stretch, rate=RATE, **settings)
    their_pitch = partial(librosa.effects.pitch_shift, sr=RATE_HZ, n_steps=SEMITONES, **settings)
    stretch = jax.jit(partial(augment.time_stretch, n_fft=N_FFT))
    pitch = jax.jit(partial(augment.pitch_shift, max_semitones=3.0, n_fft=N_FFT))
    both = jax.jit(partial(augment.stretch_and_shift, max_semitones=3.0, n_fft=N_FFT))
    noisy = jax.jit(lambda keys, x, snr_db: augment.add_noise(x, augment.white_noise(keys, x.shape[-1]), snr_db))

    ms = median_ms(
        {
            "all": lambda: noisy(keys, both(sound, rate, semitones), snr_db),
            "in turn": lambda: noisy(keys, stretch(pitch(sound, semitones), rate), snr_db),
            "pitch": lambda: pitch(sound, semitones),
            "stretch": lambda: stretch(sound, rate),
            "noise": lambda: noisy(keys, sound, snr_db),
            "their all": lambda: their_noise(their_stretch(their_pitch(x))),
            "their pitch": lambda: their_pitch(x),
            "their stretch": lambda: their_stretch(x),
            "their noise": lambda: their_noise(x),
        },
        repeats,
    )
    rows = [
        ("pitch shift + stretch + noise, one vocoder", "all", "their all"),
        ("the same, one after the other", "in turn", "their all"),
        ("pitch shift", "pitch", "their pitch"),
        ("time stretch", "stretch", "their stretch"),
        ("white noise (against NumPy)", "noise", "their noise"),
    ]
    return [
        f"n_fft {N_FFT}, hop {HOP_SAMPLES}; librosa {librosa.__version__}.",
        "",
        f"| {BATCH} clips of {N_SAMPLES // RATE_HZ} s | jaxresp, ms | librosa, ms | librosa / jaxresp |",
        "| --- | --- | --- | --- |",
        *(f"| {title} | {ms[a]:.0f} | {ms[b]:.0f} | {ms[b] / ms[a]:.1f} |" for title, a, b in rows),
    ]


def each_one(repeats: int) -> list[str]:
    sound, key, frontend = jnp.asarray(waveforms()), jax.random.key(0), frontend_named("logmel")()
    keys, clips, share = jax.random.split(key, BATCH), jnp.asarray(waveforms()[:16]), jnp.linspace(0.0, 0.99, BATCH)
    features = jnp.zeros((BATCH, frontend.n_frames(N_SAMPLES), frontend.n_coefficients))
    labels, lengths = jnp.arange(BATCH, dtype=jnp.int32) % 4, jnp.full(BATCH, 30_000, jnp.int32)
    masks = augment.draw_spec_masks(key, SpecAugmentConfig(), BATCH, *features.shape[1:])
    mixing, joining = augment.draw_mixing(key, MixupConfig(), BATCH), augment.draw_joining(key, JoinConfig(), labels)
    snr_db, config = filled(SNR_DB), AugmentConfig()
    band = partial(augment.band_limit, lowest_hz=1_800.0, rate_hz=RATE_HZ)
    shift = partial(augment.pitch_shift, max_semitones=3.0)
    both = partial(augment.stretch_and_shift, max_semitones=3.0)
    join = partial(augment.join_cycles, JoinConfig(), n_samples=N_SAMPLES)

    def pink(keys: jax.Array, x: jax.Array, snr_db: jax.Array) -> jax.Array:
        return augment.add_noise(x, augment.pink_noise(augment.white_noise(keys, N_SAMPLES), RATE_HZ), snr_db)

    def white(keys: jax.Array, x: jax.Array, snr_db: jax.Array) -> jax.Array:
        return augment.add_noise(x, augment.white_noise(keys, N_SAMPLES), snr_db)

    def recorded(clips: jax.Array, share: jax.Array, x: jax.Array, snr_db: jax.Array) -> jax.Array:
        return augment.add_noise(x, augment.recorded_noise(clips, share, share, N_SAMPLES), snr_db)

    everything: dict[str, tuple[Callable[..., object], tuple[object, ...]]] = {
        "drawing for the whole chain": (lambda key: augment.draw(key, config, BATCH), (key,)),
        "gain": (augment.gain, (sound, snr_db)),
        "roll": (augment.roll, (sound, share)),
        "white noise": (white, (keys, sound, snr_db)),
        "pink noise": (pink, (keys, sound, snr_db)),
        "recorded noise": (recorded, (clips, share, sound, snr_db)),
        "band-limiting": (band, (sound, filled(2_000.0))),
        "speed": (augment.change_speed, (sound, filled(RATE))),
        "time stretch": (augment.time_stretch, (sound, filled(RATE))),
        "pitch shift": (shift, (sound, filled(SEMITONES))),
        "stretch and pitch shift": (both, (sound, filled(RATE), filled(SEMITONES))),
        "mixup": (augment.mixup, (sound, mixing)),
        "joining cycles": (join, (joining, sound, lengths)),
        f"SpecAugment on {features.shape[1]}×{features.shape[2]} log-mel": (augment.spec_augment, (features, masks)),
    }
    ms = median_ms({name: partial(jax.jit(call), *given) for name, (call, given) in everything.items()}, repeats)
    return [
        f"| each by itself, {BATCH} clips of {N_SAMPLES // RATE_HZ} s | ms |",
        "| --- | --- |",
        *(f"| {name} | {value:.1f} |" for name, value in ms.items()),
    ]


def beside_training(repeats: int) -> list[str]:
    """The training step of the network that each front end is for, and the default chain, per batch of 32."""
    batch = TrainConfig().batch_size
    sound, config = jnp.asarray(waveforms()[:batch]), AugmentConfig()
    chain = jax.jit(lambda key, x: augment.apply(config, augment.draw(key, config, batch), x, rate_hz=RATE_HZ))
    rows = []
    for name in ("augmented", "logmel"):
        frontend = frontend_named(name)()
        network = models.NetworkConfig(frontend.network)
        step = training_step(frontend, network, batch)
        ms = median_ms({"step": step, "chain": partial(chain, jax.random.key(0), sound)}, repeats)
        rows.append(
            f"| {frontend.network}, {network.filters} filters, on {frontend.name} | {ms['step']:.0f} | "
            f"{ms['chain']:.0f} | {ms['chain'] / ms['step']:.1f} |"
        )
    return [
        f"| batch of {batch}, {N_SAMPLES // RATE_HZ} s each | training step, ms | default chain, ms | chain / step |",
        "| --- | --- | --- | --- |",
        *rows,
    ]


def training_step(frontend: FrontEnd, network: models.NetworkConfig, batch: int) -> Callable[[], object]:
    """One step of jaxresp.train, on features of the front end's shape."""
    graph, weights = models.create(network, frontend.n_coefficients, 3, seed=0)
    config = TrainConfig()
    state, hyper, static = begin(weights), hyper_of(config, np.float32(config.learning_rate)), static_of(config)
    x = jax.random.normal(jax.random.key(1), (batch, frontend.n_frames(N_SAMPLES), frontend.n_coefficients))
    labels, weight = jnp.arange(batch, dtype=jnp.int32) % 3, jnp.ones(batch)

    def step() -> object:
        nonlocal state
        state = train_step(state, x, labels, weight, jax.random.key(2), hyper, graph=graph, static=static)
        return state.loss

    return step


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--repeats", type=int, default=7)
    arguments.add_argument("--write", action="store_true", help=f"write {RESULT.name} into experiments/results")
    options = arguments.parse_args()
    device = jax.devices()[0]
    lines = [
        "# What augmentation costs",
        "",
        "`python experiments/benchmarks/augmentation.py --write`",
        "",
        f"jax {jax.__version__}, Python {platform.python_version()}, device {device.device_kind}; medians of "
        f"{options.repeats} repeats.",
        "",
    ]
    if device.platform == "cpu":
        lines += [
            "No accelerator here: how fast it is on one, and beside a training step on one, was not measured.",
            "",
        ]
    for table in (against_librosa, each_one, beside_training):
        lines += [*table(options.repeats), ""]
    text = "\n".join(lines).rstrip() + "\n"
    print(text)
    if options.write:
        RESULT.write_text(text)


if __name__ == "__main__":
    main()
