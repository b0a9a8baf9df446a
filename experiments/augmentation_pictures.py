"""The pictures of docs/augmentation.md: each augmentation before and after, on made-up crackles and a made-up wheeze.

    python experiments/augmentation_pictures.py [--out docs/augmentation]

Expected: under a minute. Prints, as a Markdown table, what each augmentation leaves of a crackle of 10 ms.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import scipy.signal
from matplotlib.figure import Figure

from jaxresp.dsp import augment, spectral
from jaxresp.dsp.augment import JoinConfig, Joining, Mixing, SpecMasks
from jaxresp.synthetic import sounds

RATE_HZ, DURATION_S = 16_000, 3.0
N_SAMPLES = round(RATE_HZ * DURATION_S)
N_FFT, HOP_SAMPLES, N_MELS, F_MIN_HZ, F_MAX_HZ = 512, 160, 72, 50.0, 4_000.0
RANGE_DB = (-95.0, -35.0)
TICKS_HZ = (100, 250, 500, 1_000, 2_000, 4_000)
FOLDER = Path(__file__).resolve().parents[1] / "docs" / "augmentation"

#: A title, and how [1, time] becomes [1, time].
CHANGES: dict[str, tuple[str, Callable[[jax.Array], jax.Array]]] = {
    "gain": ("gain, +6 dB", lambda x: augment.gain(x, one(6.0))),
    "roll": ("rolled by a quarter", lambda x: augment.roll(x, one(0.25))),
    "white": ("white noise, 10 dB", lambda x: augment.add_noise(x, white(), one(10.0))),
    "pink": ("pink noise, 10 dB", lambda x: augment.add_noise(x, augment.pink_noise(white(), RATE_HZ), one(10.0))),
    "recorded": ("recorded noise (hum and steps), 5 dB", lambda x: augment.add_noise(x, ward(), one(5.0))),
    "band": (
        "band ends at 1800 Hz",
        lambda x: augment.band_limit(x, one(1_800.0), lowest_hz=1_800.0, rate_hz=RATE_HZ),
    ),
    "speed": ("speed × 1.2", lambda x: augment.change_speed(x, one(1.2))),
    "stretch": ("time stretch × 1.2", lambda x: augment.time_stretch(x, one(1.2))),
    "pitch": ("pitch + 3 semitones", lambda x: augment.pitch_shift(x, one(3.0), max_semitones=3.0)),
}
#: Not drawn, only measured: the vocoder as librosa's is.
PLAIN: dict[str, Callable[[jax.Array], jax.Array]] = {
    "time stretch × 1.2, lock_phases=False": lambda x: augment.time_stretch(x, one(1.2), lock_phases=False),
    "pitch + 3 semitones, lock_phases=False": lambda x: augment.pitch_shift(
        x, one(3.0), max_semitones=3.0, lock_phases=False
    ),
}


def one(value: float) -> jax.Array:
    return jnp.full(1, value, jnp.float32)


def white() -> jax.Array:
    return augment.white_noise(jax.random.split(jax.random.key(1), 1), N_SAMPLES)


def ward() -> jax.Array:
    """What a ward might sound like: a hum, and something struck twice a second."""
    t = np.arange(N_SAMPLES) / RATE_HZ
    rng = np.random.default_rng(5)
    steps = rng.standard_normal(N_SAMPLES) * np.exp(-(t % 0.5) / 0.03)
    low = scipy.signal.sosfilt(scipy.signal.butter(2, [300, 1_200], "bandpass", fs=RATE_HZ, output="sos"), steps)
    clip = 0.3 * np.sin(2 * np.pi * 150 * t) + low
    return augment.recorded_noise(jnp.asarray(clip[None], jnp.float32), one(0.0), one(0.1), N_SAMPLES)


def made_up(seed: int, wheeze_hz: float | None, crackles_s: list[float]) -> np.ndarray:
    """A breath of three seconds with crackles and perhaps a wheeze, at 16 kHz, peak 0.5."""
    rng, n = np.random.default_rng(seed), round(DURATION_S * sounds.RATE_HZ)
    breath = sounds.Breath(0.15, 1.25, 2.9)
    sound = 0.02 * sounds.breath_noise(rng, n, [breath], corner_hz=350.0, tracheal=False)
    sound += 0.0006 * rng.standard_normal(n)
    if crackles_s:
        sounds.add_crackles(sound, rng, np.array(crackles_s), 0.010, 0.35)
    if wheeze_hz is not None:
        sounds.add_wheeze(sound, rng, 1.5, 1.0, wheeze_hz, 0.06)
    sound = scipy.signal.resample_poly(sound, RATE_HZ, sounds.RATE_HZ)
    return (0.5 * sound / np.abs(sound).max()).astype(np.float32)


def log_mel_db(waveform: np.ndarray) -> np.ndarray:
    """[frames, bands] in dB re full scale."""
    filterbank = spectral.mel_filterbank(
        rate_hz=RATE_HZ, n_fft=N_FFT, n_mels=N_MELS, f_min_hz=F_MIN_HZ, f_max_hz=F_MAX_HZ
    )
    scaled = jnp.asarray(waveform) / float(spectral.hann(N_FFT).sum())
    power = spectral.mel_power(spectral.power_spectrogram(scaled, n_fft=N_FFT, hop_samples=HOP_SAMPLES), filterbank)
    return 10 * np.log10(np.maximum(np.asarray(power), 1e-12))


def draw_picture(path: Path, panels: list[tuple[str, np.ndarray]]) -> None:
    """Spectrograms [frames, bands] side by side, on one colour scale and one pair of axes."""
    matplotlib.rcParams.update({"font.size": 8, "axes.titlesize": 9, "font.family": "DejaVu Sans"})
    figure = Figure(figsize=(7.2, 2.3), layout="constrained", dpi=110)
    axes = figure.subplots(1, len(panels), sharey=True)
    low, high = spectral.hz_to_mel(F_MIN_HZ, "slaney"), spectral.hz_to_mel(F_MAX_HZ, "slaney")
    for ax, (title, db) in zip(axes, panels, strict=True):
        seconds = db.shape[0] * HOP_SAMPLES / RATE_HZ
        image = ax.imshow(
            db.T,
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=RANGE_DB[0],
            vmax=RANGE_DB[1],
            extent=(0, seconds, low, high),
            interpolation="nearest",
        )
        ax.set(title=title, xlabel="time, s")
        ax.set_yticks(
            spectral.hz_to_mel(np.array(TICKS_HZ), "slaney"), [f"{hz:,}".replace(",", " ") for hz in TICKS_HZ]
        )
    axes[0].set_ylabel("frequency, Hz")
    figure.colorbar(image, ax=axes, label="dB re full scale", pad=0.01)
    figure.savefig(path, metadata={"Software": None})


def left_of_a_crackle(change: Callable[[jax.Array], jax.Array]) -> tuple[float, float]:
    """Largest share of the energy of the 0.2 s about it within 10 ms, and the peak over the original's.

    On white noise 40 dB below the peak: in silence any vocoder's phases begin anew.
    """
    shape = scipy.signal.resample_poly(sounds.crackle(0.010), RATE_HZ, sounds.RATE_HZ)
    alone = np.zeros(N_SAMPLES, np.float32)
    alone[20_000 : 20_000 + shape.size] = 0.5 * shape
    heard = alone + 0.005 * np.random.default_rng(0).standard_normal(N_SAMPLES).astype(np.float32)
    changed = np.asarray(change(jnp.asarray(heard[None])))[0].astype(np.float64)
    at = int(np.abs(changed).argmax())
    energy = np.square(changed[at - RATE_HZ // 10 : at + RATE_HZ // 10])
    within = np.convolve(energy, np.ones(RATE_HZ // 100), "valid").max() / energy.sum()
    return float(within), float(np.abs(changed).max() / np.abs(alone).max())


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--out", type=Path, default=FOLDER)
    folder = arguments.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)

    sound = made_up(3, 420.0, [0.45, 0.55, 0.66, 0.8, 0.88, 1.02])
    other = made_up(4, None, [0.5, 0.9])
    before = ("before", log_mel_db(sound))
    print("| | energy within 10 ms | peak |\n| --- | --- | --- |")
    left = dict.fromkeys(["as it was"], lambda x: x) | {title: change for title, change in CHANGES.values()} | PLAIN
    for title, change in left.items():
        within, peak = left_of_a_crackle(jax.jit(change))
        print(f"| {title} | {within:.0%} | × {peak:.2f} |")
    for name, (title, change) in CHANGES.items():
        start = jnp.asarray(sound[None])
        if name == "band":  # made-up breath ends low: something must lie above the cut-off for its end to be seen
            start = augment.add_noise(start, white(), one(20.0))
        after = np.asarray(jax.jit(change)(start))[0]
        draw_picture(folder / f"{name}.png", [("before", log_mel_db(np.asarray(start)[0])), (title, log_mel_db(after))])
    masks = SpecMasks(*(jnp.asarray([values], jnp.int32) for values in ([60, 215], [25, 18], [18, 50], [7, 9])))
    masked = augment.spec_augment(jnp.asarray(before[1][None], jnp.float32), masks)
    draw_picture(folder / "masks.png", [before, ("SpecAugment, two masks each way", np.asarray(masked)[0])])

    pair = jnp.asarray(np.stack([sound, other]))
    mixing = Mixing(jnp.asarray([0.6, 0.6], jnp.float32), jnp.asarray([1, 0], jnp.int32))
    mixed = np.asarray(augment.mixup(pair, mixing))[0]
    first, second = ("one", before[1]), ("another", log_mel_db(other))
    draw_picture(folder / "mixup.png", [first, second, ("0.6 × one + 0.4 × another", log_mel_db(mixed))])

    joining = Joining(jnp.asarray([1, 0], jnp.int32), jnp.asarray([True, False]))
    lengths = jnp.asarray([round(1.35 * RATE_HZ), round(1.35 * RATE_HZ)], jnp.int32)
    joined, _ = augment.join_cycles(JoinConfig(), joining, pair, lengths, n_samples=N_SAMPLES)
    cut = [log_mel_db(np.where(np.arange(N_SAMPLES) < lengths[0], x, 0.0).astype(np.float32)) for x in (sound, other)]
    draw_picture(
        folder / "joined.png",
        [("one", cut[0]), ("another of its class", cut[1]), ("joined", log_mel_db(np.asarray(joined)[0]))],
    )
    size = sum(path.stat().st_size for path in folder.glob("*.png"))
    print(f"\n{len(list(folder.glob('*.png')))} pictures in {folder.name}/, {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
