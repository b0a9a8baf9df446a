"""A made-up corpus on disk, laid out as ICBHI 2017's publishers lay theirs out."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import soundfile

from jaxresp.synthetic.cohort import Patient, SyntheticConfig, SyntheticConfigError, draw_cohort
from jaxresp.synthetic.recording import render

LAYOUTS = ("official", "kaggle")

_FILENAME_FORMAT = """Elements contained in the filenames:

Patient number (101,102,...)
Recording index
Chest location (Trachea (Tc), {Anterior (A), Posterior (P), Lateral (L)}{left (l), right (r)})
Acquisition mode (sequential/single channel (sc), simultaneous/multichannel (mc))
Recording equipment (made up after AKG C417L, 3M Littmann Classic II SE, 3M Littmann 3200, WelchAllyn Meditron)
"""


def write_corpus(folder: Path, config: SyntheticConfig | None = None, *, layout: str = "official") -> Path:
    """Write a made-up corpus.

    Args:
        folder: where to; must be new or empty. It is written beside and renamed, so that it is whole or absent.
        config: what to write.
        layout: the publisher's own layout, or the one of the copy on Kaggle (which has no train/test file).

    Returns:
        the folder.

    Raises:
        SyntheticConfigError: the folder has something in it, or the layout is unknown.
    """
    config = config or SyntheticConfig()
    folder = Path(folder)
    if layout not in LAYOUTS:
        raise SyntheticConfigError(f"made-up corpus: there is no layout {layout!r}; choose official or kaggle")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SyntheticConfigError(f"made-up corpus: {folder} has something in it; name an empty or a new folder")
    part = folder.with_name(f".{folder.name}.part")
    if part.exists():
        shutil.rmtree(part)
    try:
        _write(part, config, layout)
        if folder.exists():
            folder.rmdir()
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _write(root: Path, config: SyntheticConfig, layout: str) -> None:
    official = layout == "official"
    meta = root if official else root / "Respiratory_Sound_Database" / "Respiratory_Sound_Database"
    audio = meta / ("ICBHI_final_database" if official else "audio_and_txt_files")
    audio.mkdir(parents=True)
    patients = draw_cohort(config)
    names = []
    for patient in patients:
        for k, take in enumerate(patient.takes):
            name = f"{patient.number}_{take.index}_{take.location}_{take.mode}_{patient.stethoscope}"
            names.append((patient, name))
            samples, cycles = render(patient, take, config, np.random.default_rng([config.seed, 4, patient.number, k]))
            soundfile.write(audio / f"{name}.wav", samples, take.rate_hz, subtype=f"PCM_{take.bits}")
            (audio / f"{name}.txt").write_text(
                "".join(f"{c.start_s:g}\t{c.end_s:g}\t{c.crackle:d}\t{c.wheeze:d}\n" for c in cycles)
            )
    (root / "MADE_UP.txt").write_text(
        "Made up by jaxresp. No patient was recorded; results on it say nothing about patients.\n"
    )
    (meta / "filename_format.txt").write_text(_FILENAME_FORMAT)
    demographics = "ICBHI_Challenge_demographic_information.txt" if official else "demographic_info.txt"
    (root / demographics).write_text(
        "\n" + "".join(map(_demographic_row, patients))
    )  # theirs begins with an empty line
    if official:
        (meta / "ICBHI_Challenge_diagnosis.txt").write_text("".join(f"{p.number}\t{p.diagnosis}\n" for p in patients))
        sides = _published_split(patients, config.seed)
        (meta / "ICBHI_challenge_train_test.txt").write_text(
            "".join(f"{name}\t{sides[p.number]}\n" for p, name in names)
        )
    else:
        (meta / "filename_differences.txt").write_text("")
        with (meta / "patient_diagnosis.csv").open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(
                [("ID", "CLASS"), *((p.number, p.diagnosis) for p in patients)]
            )


def _demographic_row(patient: Patient) -> str:
    values = (patient.age_years, patient.sex, patient.bmi, patient.weight_kg, patient.height_cm)
    fields = ("NA" if v is None else v if isinstance(v, str) else f"{v:g}" for v in values)
    return f"{patient.number} {' '.join(fields)}\n"


def _published_split(patients: tuple[Patient, ...], seed: int) -> dict[int, str]:
    """A 60/40 division by patient, like the challenge's but with nobody on both sides."""
    order = np.random.default_rng([seed, 5]).permutation([patient.number for patient in patients])
    return {int(number): "train" if i < round(0.6 * len(order)) else "test" for i, number in enumerate(order)}
