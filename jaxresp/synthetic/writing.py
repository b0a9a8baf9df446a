"""A made-up corpus on disk, laid out as ICBHI 2017's publishers lay theirs out."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile

from jaxresp.files import whole_directory
from jaxresp.synthetic.cohort import Patient, SyntheticConfig, SyntheticConfigError, Take, draw_cohort
from jaxresp.synthetic.recording import Cycle, render

LAYOUTS = ("official", "kaggle")

_DISPUTED = 91  # rows of ICBHI's filename_differences.txt, all of them about recordings tagged sc_Meditron

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
    with new_folder(folder, layout) as part:
        _write(part, config, layout)
    return Path(folder)


@contextmanager
def new_folder(folder: Path, layout: str) -> Iterator[Path]:
    """A folder to fill that becomes `folder`, which must be new or empty, once it is whole.

    Raises:
        SyntheticConfigError: the folder has something in it, or the layout is unknown.
    """
    folder = Path(folder)
    if layout not in LAYOUTS:
        raise SyntheticConfigError(f"made-up corpus: there is no layout {layout!r}; choose official or kaggle")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SyntheticConfigError(f"made-up corpus: {folder} has something in it; name an empty or a new folder")
    with whole_directory(folder) as part:
        yield part


def audio_folder(root: Path, layout: str) -> Path:
    """Where a layout keeps its recordings."""
    return _metadata_folder(root, layout) / ("ICBHI_final_database" if layout == "official" else "audio_and_txt_files")


def write_recording(wav: Path, samples: np.ndarray, take: Take, cycles: Iterable[Cycle]) -> None:
    """A sound file and the annotation beside it."""
    soundfile.write(wav, samples, take.rate_hz, subtype=f"PCM_{take.bits}")
    wav.with_suffix(".txt").write_text(
        "".join(f"{c.start_s:g}\t{c.end_s:g}\t{c.crackle:d}\t{c.wheeze:d}\n" for c in cycles)
    )


def write_metadata(root: Path, layout: str, patients: tuple[Patient, ...], names: Sequence[str], seed: int) -> None:
    """Everything that is said about recordings of these names."""
    meta = _metadata_folder(root, layout)
    (root / "MADE_UP.txt").write_text(
        "Made up by jaxresp. No patient was recorded; results on it say nothing about patients.\n"
    )
    (meta / "filename_format.txt").write_text(_FILENAME_FORMAT)
    rows = "\n" + "".join(map(_demographic_row, patients))  # theirs begins with an empty line
    if layout == "official":
        (root / "ICBHI_Challenge_demographic_information.txt").write_text(rows)
        (meta / "ICBHI_Challenge_diagnosis.txt").write_text("".join(f"{p.number}\t{p.diagnosis}\n" for p in patients))
        sides = _published_split(patients, seed)
        (meta / "ICBHI_challenge_train_test.txt").write_text(
            "".join(f"{name}\t{sides[int(name.partition('_')[0])]}\n" for name in names)
        )
    else:
        (root / "demographic_info.txt").write_text(rows)
        disputed = [name for name in names if name.endswith("_sc_Meditron")][:_DISPUTED]
        (meta / "filename_differences.txt").write_text(
            "".join(f"'{name.removesuffix('Meditron')}LittC2SE'\n" for name in disputed)
        )
        with (meta / "patient_diagnosis.csv").open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(
                [("ID", "CLASS"), *((p.number, p.diagnosis) for p in patients)]
            )


def _metadata_folder(root: Path, layout: str) -> Path:
    return root if layout == "official" else root / "Respiratory_Sound_Database" / "Respiratory_Sound_Database"


def _write(root: Path, config: SyntheticConfig, layout: str) -> None:
    audio = audio_folder(root, layout)
    audio.mkdir(parents=True)
    patients = draw_cohort(config)
    names = []
    for patient in patients:
        for k, take in enumerate(patient.takes):
            names.append(take.file_name(patient.number, patient.stethoscope))
            samples, cycles = render(patient, take, config, np.random.default_rng([config.seed, 4, patient.number, k]))
            write_recording(audio / f"{names[-1]}.wav", samples, take, cycles)
    write_metadata(root, layout, patients, names, config.seed)


def _demographic_row(patient: Patient) -> str:
    values = (patient.age_years, patient.sex, patient.bmi, patient.weight_kg, patient.height_cm)
    fields = ("NA" if v is None else v if isinstance(v, str) else f"{v:g}" for v in values)
    return f"{patient.number} {' '.join(fields)}\n"


def _published_split(patients: tuple[Patient, ...], seed: int) -> dict[int, str]:
    """A 60/40 division by patient, like the challenge's but with nobody on both sides."""
    order = np.random.default_rng([seed, 5]).permutation([patient.number for patient in patients])
    return {int(number): "train" if i < round(0.6 * len(order)) else "test" for i, number in enumerate(order)}
