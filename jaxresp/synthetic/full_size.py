"""A made-up corpus as large as ICBHI 2017, for tests of size and speed: its numbers are ICBHI's, its sounds are a few.

920 recordings of 126 patients, 5.5 h, with the published numbers of patients and recordings per diagnosis and of
cycles per label, at 4, 10 and 44.1 kHz with 16 and 24 bits: about 2 GB. Each recording is cut, at a place and with a
gain of its own, from one of a few long renderings, so that all of them differ and writing takes seconds.

Unlike `write_corpus` it matches nothing: here, as in ICBHI, the equipment alone tells most diagnoses, and the sound
has nothing to do with the annotated cycles. No classifier should be judged on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxresp.shipped import load_module
from jaxresp.synthetic.cohort import LOCATIONS, Patient, SyntheticConfig, Take, draw_body
from jaxresp.synthetic.recording import Cycle, render
from jaxresp.synthetic.writing import audio_folder, new_folder, write_metadata, write_recording

published = load_module("datasets/icbhi/icbhi_published.py", "jaxresp._shipped_icbhi_published")

_PIECE_S = 90.0  # as long as ICBHI's longest
_LEVEL_DBFS = -34.0


class _Equipment(NamedTuple):
    """So many recordings made like this."""

    number: int
    stethoscope: str
    mode: str
    rate_hz: int
    bits: int
    duration_s: float


# Stethoscopes are counted from ICBHI's file names, rates from its files (824 at 44.1 kHz, 90 at 4, 6 at 10 kHz). How
# many have 24 bits is not published; an archive of 1.98 GB says most. In this order COPD, which is dealt first, takes
# all of the first three.
_EQUIPMENT = (
    _Equipment(540, "AKGC417L", "mc", 44_100, 24, 20.0),
    _Equipment(106, "AKGC417L", "mc", 44_100, 16, 20.0),
    _Equipment(60, "Litt3200", "sc", 4_000, 16, 20.0),
    _Equipment(30, "Meditron", "sc", 4_000, 16, 66.0),
    _Equipment(6, "Meditron", "sc", 10_000, 16, 33.0),
    _Equipment(87, "LittC2SE", "mc", 44_100, 24, 20.0),
    _Equipment(40, "Meditron", "sc", 44_100, 24, 20.0),
    _Equipment(51, "Meditron", "sc", 44_100, 16, 20.0),
)


class _Plan(NamedTuple):
    """A recording to be written."""

    patient: int
    take: Take
    stethoscope: str
    cycles: list[Cycle]

    @property
    def name(self) -> str:
        return self.take.file_name(self.patient, self.stethoscope)


def write_full_size(folder: Path, *, seed: int = 0, layout: str = "official") -> Path:
    """Write a corpus of ICBHI's size.

    Args:
        folder: where to; must be new or empty. It is written beside and renamed, so that it is whole or absent.
        seed: the same seed writes the same bytes.
        layout: the publisher's own, or the one of the copy on Kaggle.

    Returns:
        the folder.

    Raises:
        SyntheticConfigError: the folder has something in it, or the layout is unknown.
    """
    patients = _patients(np.random.default_rng([seed, 11]))
    plans = _plans(patients, np.random.default_rng([seed, 12]))
    pieces = _pieces(seed)
    with new_folder(folder, layout) as part:
        audio = audio_folder(part, layout)
        audio.mkdir(parents=True)

        def write(job: tuple[int, _Plan]) -> None:
            number, plan = job
            rng = np.random.default_rng([seed, 13, number])
            samples = _cut(pieces[plan.take.rate_hz], round(plan.take.duration_s * plan.take.rate_hz), rng)
            write_recording(audio / f"{plan.name}.wav", samples, plan.take, plan.cycles)

        with ThreadPoolExecutor(2) as pool:  # libsndfile writes outside the GIL
            list(pool.map(write, enumerate(plans)))
        write_metadata(part, layout, patients, [plan.name for plan in plans], seed)
    return Path(folder)


def _patients(rng: np.random.Generator) -> tuple[Patient, ...]:
    """ICBHI's numbers of patients per diagnosis, numbered as it numbers them."""
    diagnoses = [name for name, count in published.PATIENTS_BY_DIAGNOSIS.items() for _ in range(count)]
    return tuple(
        Patient(101 + i, str(diagnosis), str(diagnosis), "", *draw_body(rng), takes=())
        for i, diagnosis in enumerate(rng.permutation(diagnoses))
    )


def _plans(patients: Sequence[Patient], rng: np.random.Generator) -> list[_Plan]:
    """Recordings dealt to patients, equipment to recordings and cycles to both, in ICBHI's numbers."""
    owners = [
        int(number)
        for diagnosis, count in published.RECORDINGS_BY_DIAGNOSIS.items()
        for number in _dealt([p.number for p in patients if p.diagnosis == diagnosis], count, rng)
    ]
    equipment = [kind for kind in _EQUIPMENT for _ in range(kind.number)]
    seconds = np.array([kind.duration_s for kind in equipment])
    n_cycles = 1 + rng.multinomial(published.CYCLES - len(owners), seconds / seconds.sum())
    flags = np.repeat(np.arange(4), [published.CYCLES_BY_LABEL[label] for label in published.LABELS])
    labels = np.split(rng.permutation(flags), np.cumsum(n_cycles)[:-1])
    plans, had = [], dict.fromkeys(owners, 0)
    for owner, kind, flags in zip(owners, equipment, labels, strict=True):
        take = _take(had[owner], kind)
        had[owner] += 1
        plans.append(_Plan(owner, take, kind.stethoscope, list(_cycles(flags, take.duration_s, rng))))
    return plans


def _dealt(numbers: list[int], count: int, rng: np.random.Generator) -> np.ndarray:
    """Patients in order, each at least once, `count` in all."""
    return np.repeat(numbers, 1 + rng.multinomial(count - len(numbers), np.full(len(numbers), 1 / len(numbers))))


def _take(k: int, kind: _Equipment) -> Take:
    """A patient's recording number k: seven places, then the next attempt, then the next visit."""
    attempt, place = divmod(k, len(LOCATIONS))
    return Take(
        f"{1 + attempt // 4}b{1 + attempt % 4}", LOCATIONS[place], kind.mode, kind.duration_s, kind.rate_hz, kind.bits,
        _LEVEL_DBFS,
    )  # fmt: skip


def _cycles(labels: np.ndarray, duration_s: float, rng: np.random.Generator) -> Iterator[Cycle]:
    """One after another over the whole recording, each up to a fifth longer or shorter than the next."""
    edges = np.linspace(0.02, duration_s - 0.02, len(labels) + 1)
    edges[1:-1] += rng.uniform(-0.1, 0.1, len(labels) - 1) * (edges[1] - edges[0])
    for start, end, label in zip(edges[:-1].round(3), edges[1:].round(3), labels.tolist(), strict=True):
        yield Cycle(float(start), float(end), label in (1, 3), label in (2, 3))


def _pieces(seed: int) -> dict[int, Float[np.ndarray, " time"]]:
    """One long rendering at each rate."""
    config = SyntheticConfig(difficulty=1.0, duration_s=(_PIECE_S, _PIECE_S))
    pieces = {}
    for rate_hz in sorted({kind.rate_hz for kind in _EQUIPMENT}):
        patient = Patient(101, "COPD", "COPD", "AKGC417L", 60.0, "F", 27.0, None, None, ())
        take = Take("1b1", "Al", "mc", _PIECE_S, rate_hz, 24, _LEVEL_DBFS)
        pieces[rate_hz] = render(patient, take, config, np.random.default_rng([seed, 14, rate_hz]))[0]
    return pieces


def _cut(piece: Float[np.ndarray, " time"], n_samples: int, rng: np.random.Generator) -> Float[np.ndarray, " n"]:
    """Some of a piece, from a random place on, round its end if need be, made quieter by up to 10 dB."""
    at = int(rng.integers(piece.size))
    samples = np.concatenate([piece[at : at + n_samples], piece[: max(0, at + n_samples - piece.size)]])
    return samples * 10 ** (-rng.uniform(0, 10) / 20)
