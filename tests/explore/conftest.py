"""Corpora to explore: the shared made-up one, and one of a few seconds whose columns can be anything."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from jaxresp.corpus import Annotations, Corpus
from jaxresp.explore import ExploreConfig, Report, explore


def little_corpus(n: int = 6, **columns: Any) -> Corpus:
    """Recordings of 2 s of noise at 4 kHz, of which nothing is known but what is given."""
    rng = np.random.default_rng(3)
    length = 8000
    texts = [
        "diagnosis",
        "diagnosis_published",
        "sound_label",
        "stethoscope",
        "stethoscope_disputed",
        "index",
        "location",
        "mode",
        "sex",
        "official_split",
    ]
    numbers = ["age_years", "bmi", "weight_kg", "height_cm", "bandwidth_hz"]
    known: dict[str, Any] = {
        **{name: np.full(n, "") for name in texts},
        **{name: np.full(n, np.nan, np.float32) for name in numbers},
        **{name: np.full(n, value, np.int32) for name, value in (("native_rate_hz", 4000), ("bits", 16))},
        "channels": np.ones(n, np.int32),
        "corpus": np.full(n, "little"),
        "recording": np.array([f"r{i}" for i in range(n)]),
        "patient": np.array([f"p{i}" for i in range(n)]),
        "scale": np.full(n, 1e-5, np.float32),
        "samples": rng.integers(-32767, 32768, n * length).astype(np.int16),
        "offsets": np.arange(n + 1, dtype=np.int64) * length,
        "annotations": Annotations(
            np.zeros(0, np.float32), np.zeros(0, np.float32), np.zeros(0, "U1"), np.zeros(0, bool), np.zeros(0, bool)
        ),
        "annotation_offsets": np.zeros(n + 1, np.int64),
    }
    head = {"name": "little", "version": "1.0.0", "partial": False, "fingerprint": "f" * 64, "rate_hz": 4000}
    return Corpus(**(head | known | columns))


@pytest.fixture(scope="session")
def uneven_corpus(easy_corpus: Corpus) -> Corpus:
    """A part of the made-up corpus with gaps, and with numbers of recordings that differ between patients."""
    part = easy_corpus.select(np.flatnonzero(np.random.default_rng(2).random(len(easy_corpus)) < 0.8))
    age, stethoscope = part.age_years.copy(), part.stethoscope.copy()
    age[part.patient == part.patient[0]] = np.nan
    stethoscope[:3] = ""
    return dataclasses.replace(part, age_years=age, stethoscope=stethoscope)


@pytest.fixture(scope="session")
def report(uneven_corpus: Corpus) -> Report:
    return explore(uneven_corpus, ExploreConfig(seed=4))


@pytest.fixture(scope="session")
def bare_report() -> Report:
    """Of a corpus of one patient of whom next to nothing is known, with names that are markup."""
    n = 2
    script = "<script>alert('x')</script> & \"#0f766e\" $x_1$"
    return explore(
        little_corpus(
            n,
            name=script,
            patient=np.full(n, script),
            recording=np.array([f"{script}{i}" for i in range(n)]),
            diagnosis=np.full(n, script),
            stethoscope=np.array([script, ""]),
        ),
        ExploreConfig(with_sound=True),
    )
