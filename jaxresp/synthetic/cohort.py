"""Who the made-up patients are and how they are recorded, drawn so that nothing but the sound tells their class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from jaxresp.errors import JaxrespError

GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "normal": ("Healthy",),
        "chronic": ("COPD", "COPD", "Asthma"),
        "infection": ("Pneumonia", "Bronchiolitis", "URTI", "LRTI", "Bronchiectasis"),
    }
)
"""The three groups and the diagnoses their patients take in turn."""


class EventRates(NamedTuple):
    """How likely one respiratory cycle is to hold each kind of sound."""

    wheeze: float
    coarse_crackle: float
    fine_crackle: float


EASY_EVENTS: Mapping[str, EventRates] = MappingProxyType(
    {"Healthy": EventRates(0.0, 0.0, 0.0)}
    | {d: EventRates(0.95, 0.6, 0.0) for d in GROUPS["chronic"]}
    | {d: EventRates(0.0, 0.0, 0.95) for d in GROUPS["infection"]}
)
"""At difficulty 0 the groups are told apart by what is heard in almost every cycle."""

HARD_EVENTS: Mapping[str, EventRates] = MappingProxyType(
    {
        "Healthy": EventRates(0.03, 0.04, 0.05),
        "COPD": EventRates(0.22, 0.30, 0.08),
        "Asthma": EventRates(0.45, 0.05, 0.03),
        "Pneumonia": EventRates(0.12, 0.12, 0.30),
        "Bronchiolitis": EventRates(0.25, 0.05, 0.25),
        "Bronchiectasis": EventRates(0.15, 0.35, 0.12),
        "LRTI": EventRates(0.15, 0.20, 0.15),
        "URTI": EventRates(0.12, 0.08, 0.08),
    }
)
"""At difficulty 1: about half of ICBHI's cycles are annotated as normal, and kinds overlap between diagnoses."""


class SyntheticConfigError(JaxrespError):
    """A made-up corpus that cannot be made."""


@dataclass(frozen=True)
class SyntheticConfig:
    """What made-up corpus to write.

    Attributes:
        patients_per_group: patients who are normal, who are chronically ill, and who have an infection, each; 8 leaves
            three-fold cross-validation enough of each on every side.
        recordings_per_patient: least and most recordings of a patient; ICBHI's median is 3.
        duration_s: least and most seconds of a recording; ICBHI has 10 to 90 s, most of them 20 s.
        difficulty: 0: a small network tells unseen patients apart (AUROC ≥ .95); 1: events as rare, as faint and as
            mixed as in real recordings.
        events_informative: False draws the events of a random diagnosis for each patient, so that the sound of the
            lungs says nothing about the class.
        plant_stethoscope: gives each stethoscope an exaggerated signature and each group a favourite stethoscope: a
            leak for a leakage audit to find.
        plant_correlation: where planted, probability that a patient is recorded with the group's favourite, else with
            any of the favourites.
        plant_patient: gives each patient's chest resonances of its own, heard in all of his recordings: what a split by
            recording gives away.
        seed: the same configuration writes the same bytes.
    """

    patients_per_group: int = 8
    recordings_per_patient: tuple[int, int] = (2, 3)
    duration_s: tuple[float, float] = (10.0, 20.0)
    difficulty: float = 0.0
    events_informative: bool = True
    plant_stethoscope: bool = False
    plant_correlation: float = 0.9
    plant_patient: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        least, most = self.recordings_per_patient
        shortest, longest = self.duration_s
        for wrong, what in (
            (not 1 <= self.patients_per_group <= 200, f"patients_per_group is {self.patients_per_group}, not 1 to 200"),
            (not 1 <= least <= most <= 50, f"recordings_per_patient is {least} to {most}, not within 1 to 50"),
            (not 2 <= shortest <= longest <= 90, f"duration_s is {shortest} to {longest}, not within 2 to 90"),
            (not 0 <= self.difficulty <= 1, f"difficulty is {self.difficulty}, not within 0 to 1"),
            (not 0 <= self.plant_correlation <= 1, f"plant_correlation is {self.plant_correlation}, not within 0 to 1"),
        ):
            if wrong:
                raise SyntheticConfigError(f"made-up corpus: {what}; correct the configuration")


@dataclass(frozen=True)
class Take:
    """One recording to be made: ICBHI's file name in parts, and how it is written.

    Attributes:
        index: ICBHI's recording index, such as "1b1".
        location: chest location, such as "Al".
        mode: "sc" (one channel) or "mc" (one of several).
        duration_s: seconds.
        rate_hz: sampling rate of the file.
        bits: bits per sample.
        level_dbfs: RMS of the body's sound re full scale.
    """

    index: str
    location: str
    mode: str
    duration_s: float
    rate_hz: int
    bits: int
    level_dbfs: float

    def file_name(self, patient: int, stethoscope: str) -> str:
        """The parts as ICBHI joins them, without a suffix."""
        return f"{patient}_{self.index}_{self.location}_{self.mode}_{stethoscope}"


@dataclass(frozen=True)
class Patient:
    """A made-up patient.

    Attributes:
        number: three digits, as in the file names.
        diagnosis: in ICBHI's spelling.
        sounds_like: the diagnosis whose events are heard; differs where `events_informative` is False.
        stethoscope: ICBHI's tag.
        age_years, sex, bmi, weight_kg, height_cm: as in the demographics file; None is written as NA.
        takes: the recordings.
    """

    number: int
    diagnosis: str
    sounds_like: str
    stethoscope: str
    age_years: float | None
    sex: str | None
    bmi: float | None
    weight_kg: float | None
    height_cm: float | None
    takes: tuple[Take, ...]


_EQUIPMENT = (  # stethoscope, acquisition mode, rate_hz, bits: the combinations of ICBHI, cycled so that each occurs
    ("Meditron", "sc", 44_100, 16),
    ("Litt3200", "sc", 4_000, 16),
    ("LittC2SE", "mc", 44_100, 24),
    ("Meditron", "sc", 10_000, 16),
    ("AKGC417L", "mc", 44_100, 16),
    ("Meditron", "sc", 4_000, 16),
    ("Meditron", "sc", 44_100, 24),
)
LOCATIONS = ("Tc", "Al", "Ar", "Pl", "Pr", "Ll", "Lr")
_FAVOURITE = {"normal": "Meditron", "chronic": "Litt3200", "infection": "AKGC417L"}


def draw_cohort(config: SyntheticConfig) -> tuple[Patient, ...]:
    """The patients of a made-up corpus, ordered by number.

    Patients come in matched triples, one of each group: same age, sex, body, stethoscope, rate, bits, chest locations,
    durations, levels and number of recordings. So none of these can tell the groups apart, not even by chance; numbers
    are shuffled over all patients.
    """
    first = 101 if 3 * config.patients_per_group <= 899 else 1
    numbers = first + np.random.default_rng([config.seed, 1]).permutation(3 * config.patients_per_group)
    patients = []
    for triple in range(config.patients_per_group):
        for g, (group, diagnoses) in enumerate(GROUPS.items()):
            common = np.random.default_rng([config.seed, 2, triple])  # the same draws for all three
            body = draw_body(common)
            stethoscope, mode, rate_hz, bits = _EQUIPMENT[triple % len(_EQUIPMENT)]
            takes = _draw_takes(common, config, mode, rate_hz, bits)
            own = np.random.default_rng([config.seed, 3, triple, g])
            diagnosis = diagnoses[triple % len(diagnoses)]
            if config.plant_stethoscope:
                every = sorted(_FAVOURITE.values())
                stethoscope = _FAVOURITE[group] if own.random() < config.plant_correlation else str(own.choice(every))
            heard = diagnosis if config.events_informative else str(own.choice(sorted(EASY_EVENTS)))
            patients.append(Patient(int(numbers[3 * triple + g]), diagnosis, heard, stethoscope, *body, takes))
    return tuple(sorted(patients, key=lambda patient: patient.number))


def event_rates(diagnosis: str, difficulty: float) -> EventRates:
    """How likely a cycle holds each kind of sound: from easy to hard in a straight line."""
    pairs = zip(EASY_EVENTS[diagnosis], HARD_EVENTS[diagnosis], strict=True)
    return EventRates(*((1 - difficulty) * easy + difficulty * hard for easy, hard in pairs))


def draw_body(rng: np.random.Generator) -> tuple[float | None, str | None, float | None, float | None, float | None]:
    """Age, sex, and BMI of an adult or weight and height of a child, with ICBHI's gaps."""
    child, sex, missing = rng.random() < 0.4, str(rng.choice(["F", "M"])), rng.random() < 0.04
    if missing:
        return None, None, None, None, None
    if not child:
        return float(rng.integers(20, 91)), sex, round(float(np.clip(rng.normal(27, 4.5), 17, 45)), 2), None, None
    age = round(float(rng.uniform(0.5, 16)), 2) if rng.random() < 0.3 else float(rng.integers(1, 17))
    height = 75 + 6.3 * age + rng.normal(0, 4)
    return age, sex, None, round(float((15.5 + 0.3 * age) * (height / 100) ** 2), 1), float(round(height))


def _draw_takes(
    rng: np.random.Generator, config: SyntheticConfig, mode: str, rate_hz: int, bits: int
) -> tuple[Take, ...]:
    places = rng.permutation(LOCATIONS)
    return tuple(
        Take(
            index=f"{1 + k // len(places)}b1",
            location=str(places[k % len(places)]),
            mode=mode,
            duration_s=round(float(rng.uniform(*config.duration_s)), 2),
            rate_hz=rate_hz,
            bits=bits,
            level_dbfs=float(rng.uniform(-38, -30)),
        )
        for k in range(rng.integers(config.recordings_per_patient[0], config.recordings_per_patient[1] + 1))
    )
