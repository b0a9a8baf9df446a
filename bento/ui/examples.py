"""Made-up sounds for the page, so that it can be tried without a patient's recording."""

from __future__ import annotations

import tempfile
from pathlib import Path

from jaxresp.synthetic import SyntheticConfig, write_corpus

#: The words on a button → diagnoses whose made-up sound they describe.
_WORDS = {
    "Quiet breath": ("Healthy",),
    "Wheezes": ("COPD", "Asthma"),
    "Crackles": ("Pneumonia", "Bronchiolitis", "Bronchiectasis", "URTI", "LRTI"),
}
_CONFIG = SyntheticConfig(patients_per_group=1, recordings_per_patient=(1, 1), duration_s=(12.0, 12.0), seed=3)


def write_examples(folder: Path) -> dict[str, Path]:
    """Write one clip for each kind of sound; by the words that describe it."""
    folder.mkdir(parents=True)
    clips = {}
    with tempfile.TemporaryDirectory() as scratch:
        root = write_corpus(Path(scratch) / "corpus", _CONFIG)
        diagnoses = dict(line.split() for line in (root / "ICBHI_Challenge_diagnosis.txt").read_text().splitlines())
        for words, wanted in _WORDS.items():
            number = next(number for number, diagnosis in diagnoses.items() if diagnosis in wanted)
            source = next(root.rglob(f"{number}_*.wav"))
            clips[words] = source.rename(folder / f"{words.lower().replace(' ', '-')}.wav")
    return clips
