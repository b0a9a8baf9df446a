"""A folder of ICBHI's size is complete by every published count; and a count off by one is found."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import soundfile

from jaxresp.corpus import DatasetError
from jaxresp.synthetic import full_size
from jaxresp.synthetic.writing import write_metadata


@pytest.fixture(scope="module")
def plans():
    patients = full_size._patients(np.random.default_rng([0, 11]))
    return patients, full_size._plans(patients, np.random.default_rng([0, 12]))


@pytest.fixture
def texts(plans, tmp_path):
    """All that is text in the folder, beside files that hold no sound: reading a folder does not listen."""
    patients, recordings = plans
    audio = tmp_path / "full" / "ICBHI_final_database"
    audio.mkdir(parents=True)
    for plan in recordings:
        (audio / f"{plan.name}.wav").write_bytes(plan.name.encode())
        rows = [f"{c.start_s:g}\t{c.end_s:g}\t{c.crackle:d}\t{c.wheeze:d}\n" for c in plan.cycles]
        (audio / f"{plan.name}.txt").write_text("".join(rows))
    write_metadata(tmp_path / "full", "official", patients, [plan.name for plan in recordings], seed=0)
    return tmp_path / "full"


def read(folder_module, folder, partial=False):
    return folder_module.read_folder(folder, partial=partial, check_sound=lambda wav: None)


def test_it_has_icbhis_size_and_passes_as_complete(plans, texts, folder_module):
    recordings = [plan.take for plan in plans[1]]
    assert sum(take.duration_s for take in recordings) / 3600 == pytest.approx(5.5, abs=0.1)
    assert Counter(take.rate_hz for take in recordings) == {44_100: 824, 4_000: 90, 10_000: 6}
    assert {take.bits for take in recordings} == {16, 24}
    source = read(folder_module, texts)
    assert (len(source.recordings), source.partial, source.made_up) == (920, False, True)
    for each, plan in zip(source.recordings, sorted(plans[1], key=lambda plan: plan.name), strict=True):
        assert each.annotations.fault(plan.take.duration_s) is None


@pytest.mark.parametrize("spoilt", ["a recording", "a flag", "a diagnosis"])
def test_one_thing_wrong_in_all_of_it_is_found_by_name(plans, texts, folder_module, spoilt):
    patients, recordings = plans
    if spoilt == "a recording":
        plan = recordings[400]
        for suffix in (".wav", ".txt"):
            (texts / "ICBHI_final_database" / f"{plan.name}{suffix}").unlink()
        told = f"missing of those in ICBHI_challenge_train_test.txt: {plan.name.rpartition('_')[0]};"
    elif spoilt == "a flag":
        plan = next(each for each in recordings if not each.cycles[0].crackle and not each.cycles[0].wheeze)
        file = texts / "ICBHI_final_database" / f"{plan.name}.txt"
        file.write_text(file.read_text().replace("\t0\t0\n", "\t1\t0\n", 1))
        told = "cycles: normal 3641 instead of 3642, crackle 1865 instead of 1864"
    else:
        file = texts / "ICBHI_Challenge_diagnosis.txt"
        patient = next(each for each in patients if each.diagnosis == "LRTI")
        file.write_text(file.read_text().replace(f"{patient.number}\tLRTI", f"{patient.number}\tURTI"))
        told = "patients: URTI 15 instead of 14, LRTI 1 instead of 2"
    with pytest.raises(DatasetError) as caught:
        read(folder_module, texts)
    assert told in str(caught.value)
    assert read(folder_module, texts, partial=True).partial


def test_recordings_cut_from_one_rendering_all_differ():
    piece = np.random.default_rng(1).standard_normal(1_000)
    cuts = [full_size._cut(piece, 700, np.random.default_rng([0, 13, k])) for k in range(200)]
    assert {cut.shape for cut in cuts} == {(700,)}
    assert len({cut.tobytes() for cut in cuts}) == 200
    looped = full_size._cut(piece, 1_000, np.random.default_rng(5))
    np.testing.assert_allclose(np.sort(looped) / np.abs(looped).max(), np.sort(piece) / np.abs(piece).max())


@pytest.mark.slow
def test_it_can_be_written_and_says_that_it_is_made_up(tmp_path, folder_module):
    folder = full_size.write_full_size(tmp_path / "full")
    source = read(folder_module, folder)
    assert (len(source.recordings), source.partial, source.made_up) == (920, False, True)
    seconds = [soundfile.info(each.wav).duration for each in source.recordings]
    assert sum(seconds) / 3600 == pytest.approx(5.5, abs=0.1)
