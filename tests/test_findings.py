"""Findings: every sound that is there more than once is told once, with everything that contradicts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxresp.corpus.findings import cut_annotations, duplicates, same_sounds
from jaxresp.corpus.source import Annotations, SourceRecording


def annotations(*end_s: float, crackle: bool = False) -> Annotations:
    ends = np.array(end_s, np.float32)
    flags = np.full(len(ends), crackle)
    return Annotations(ends - np.float32(0.5), ends, np.full(len(ends), "normal"), flags, np.zeros(len(ends), bool))


def recording(name: str, patient: str = "101", **told: object) -> SourceRecording:
    base = SourceRecording(name, patient, Path(f"{name}.wav"), "", annotations(1.0, 2.0), diagnosis_published="COPD")
    return replace(base, **told)


@given(st.lists(st.integers(0, 5), max_size=12))
def test_each_sound_that_is_there_twice_is_told_once_with_all_its_names(sounds):
    recordings = [recording(f"r{i:02d}") for i in range(len(sounds))]
    told = duplicates(same_sounds(recordings, [bytes([sound]) for sound in sounds]))
    repeated = {sound for sound in sounds if sounds.count(sound) > 1}
    assert len(told) == len(repeated)
    for sound in repeated:
        names = ", ".join(f"r{i:02d}" for i, each in enumerate(sounds) if each == sound)
        assert f"the same sound in {names} of patient 101" in told


CONTRADICTIONS = {
    "different patients (101, 102)": {"patient": "102"},
    "diagnoses differ (Asthma, COPD)": {"diagnosis_published": "Asthma"},
    "labels differ (, N)": {"sound_label": "N"},
    "sides of the official split differ (, test)": {"official_split": "test"},
    "annotations differ": {"annotations": annotations(1.0, 2.0, crackle=True)},
}


@pytest.mark.parametrize("said", CONTRADICTIONS)
def test_a_contradiction_is_told_and_only_that(said):
    (told,) = duplicates(same_sounds([recording("a"), recording("b", **CONTRADICTIONS[said])], [b"x", b"x"]))
    assert [each for each in CONTRADICTIONS if each in told] == [said]
    assert same_sounds([recording("a"), recording("b", **CONTRADICTIONS[said])], [b"x", b"y"]) == []


def test_intervals_beyond_the_end_are_counted_with_the_worst():
    recordings = [recording("a"), recording("b"), recording("c")]
    assert cut_annotations(recordings, [2.0, 2.5, 9.0]) == ()
    (told,) = cut_annotations(recordings, [1.99, 2.5, 1.96])
    assert told.startswith("2 recordings are annotated beyond the end of the sound, by at most 40.0 ms (c)")
