"""The made-up corpus: laid out as ICBHI's, repeatable, true to its annotations, and mute about the class elsewhere."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jaxresp.synthetic import SyntheticConfig, SyntheticConfigError, sounds, write_corpus, writing
from jaxresp.synthetic.cohort import EASY_EVENTS, GROUPS, HARD_EVENTS, draw_cohort, event_rates
from jaxresp.taxonomy import DIAGNOSES

NAME = re.compile(r"\d{3}_\w+?_(Tc|[APL][lr])_(sc|mc)_(AKGC417L|LittC2SE|Litt3200|Meditron)")
GROUP_OF = {diagnosis: group for group, members in GROUPS.items() for diagnosis in members}
SMALL = SyntheticConfig(patients_per_group=7, recordings_per_patient=(1, 2), duration_s=(6.0, 8.0))


def _wavs(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.rglob("*.wav"))}


def _cycles(wav: Path) -> np.ndarray:
    return np.loadtxt(wav.with_suffix(".txt"), ndmin=2)


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def easy(tmp_path_factory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("made-up") / "easy", SMALL)


@pytest.fixture(scope="module")
def groups(easy) -> dict[str, str]:
    """Patient number → group, read from the written diagnosis file."""
    lines = (easy / "ICBHI_Challenge_diagnosis.txt").read_text().splitlines()
    return {p: GROUP_OF[d] for p, d in (line.split("\t") for line in lines)}


def test_official_layout(easy):
    assert {p.name for p in easy.iterdir()} == {
        "ICBHI_final_database", "ICBHI_Challenge_diagnosis.txt", "ICBHI_Challenge_demographic_information.txt",
        "ICBHI_challenge_train_test.txt", "filename_format.txt", "MADE_UP.txt",
    }  # fmt: skip
    wavs = _wavs(easy)
    assert all(NAME.fullmatch(name) for name in wavs)
    assert {p.stem for p in (easy / "ICBHI_final_database").glob("*.txt")} == set(wavs)
    split = dict(line.split("\t") for line in (easy / "ICBHI_challenge_train_test.txt").read_text().splitlines())
    assert set(split) == set(wavs)
    assert set(split.values()) == {"train", "test"}
    sides_of = {(name.split("_")[0], side) for name, side in split.items()}
    assert len(sides_of) == 3 * SMALL.patients_per_group
    demographics = (easy / "ICBHI_Challenge_demographic_information.txt").read_text().split("\n")
    assert demographics[0] == ""
    assert all(len(line.split(" ")) == 6 for line in demographics[1:-1])
    assert {line.split()[0] for line in demographics[1:-1]} == {name.split("_")[0] for name in wavs}


def test_kaggle_layout_holds_the_same(easy, tmp_path):
    kaggle = write_corpus(tmp_path / "k", SMALL, layout="kaggle")
    inner = kaggle / "Respiratory_Sound_Database" / "Respiratory_Sound_Database"
    assert (kaggle / "demographic_info.txt").read_bytes() == (
        easy / "ICBHI_Challenge_demographic_information.txt"
    ).read_bytes()
    csv = (inner / "patient_diagnosis.csv").read_text().splitlines()
    assert csv[0] == "ID,CLASS"
    assert [line.replace(",", "\t") for line in csv[1:]] == (
        easy / "ICBHI_Challenge_diagnosis.txt"
    ).read_text().splitlines()
    theirs = {p.name: p.read_bytes() for p in (inner / "audio_and_txt_files").iterdir()}
    assert theirs == {p.name: p.read_bytes() for p in (easy / "ICBHI_final_database").iterdir()}


def test_rates_depths_and_diagnoses_of_icbhi_all_occur(easy):
    infos = [soundfile.info(path) for path in _wavs(easy).values()]
    assert {i.samplerate for i in infos} == {4_000, 10_000, 44_100}
    assert {i.subtype for i in infos} == {"PCM_16", "PCM_24"}
    assert {p.diagnosis for p in draw_cohort(SMALL)} == set(DIAGNOSES)


def test_a_seed_repeats_every_byte_and_another_changes_every_sound(tmp_path):
    config = SyntheticConfig(patients_per_group=2, recordings_per_patient=(1, 1), duration_s=(3.0, 4.0))
    a, b = write_corpus(tmp_path / "a", config), write_corpus(tmp_path / "b", config)
    assert _contents(a) == _contents(b)
    other = write_corpus(tmp_path / "c", SyntheticConfig(**{**vars(config), "seed": 1}))
    sounds_of = [{p.read_bytes() for p in _wavs(folder).values()} for folder in (a, other)]
    assert sounds_of[0].isdisjoint(sounds_of[1])
    assert len(sounds_of[0]) == 6  # and no two recordings are the same


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("difficulty", [0.0, 1.0])
def test_nothing_written_beside_the_sound_tells_the_group(seed, difficulty):
    """Who is recorded, with what and how often is the same in every group, value for value."""
    of_group: dict[str, list] = {group: [] for group in GROUPS}
    numbers: dict[str, list] = {group: [] for group in GROUPS}
    for p in draw_cohort(SyntheticConfig(seed=seed, difficulty=difficulty)):
        body = (p.age_years, p.sex, p.bmi, p.weight_kg, p.height_cm)
        of_group[GROUP_OF[p.diagnosis]].append((p.stethoscope, body, p.takes))
        numbers[GROUP_OF[p.diagnosis]].append(p.number)
    normal, chronic, infection = (sorted(map(repr, rows)) for rows in of_group.values())
    assert normal == chronic == infection
    for own in numbers.values():  # no group has the low or the high numbers
        assert 101 + 3.5 < np.mean(own) < 124 - 3.5


def test_level_rate_and_duration_measured_in_the_files_do_not_tell_the_group(easy, groups):
    measured: dict[str, list] = {group: [] for group in GROUPS}
    for name, path in _wavs(easy).items():
        samples, rate = soundfile.read(path)
        decibels = 20 * np.log10(samples.std())
        measured[groups[name.split("_")[0]]].append((len(samples) / rate, rate, decibels))
    normal, chronic, infection = (np.array(sorted(rows)) for rows in measured.values())
    for other in (chronic, infection):
        np.testing.assert_allclose(normal[:, :2], other[:, :2])
        np.testing.assert_allclose(normal[:, 2], other[:, 2], atol=0.05)  # dB
    assert max(np.abs(soundfile.read(p)[0]).max() for p in _wavs(easy).values()) < 1


def test_easy_annotations_say_what_the_groups_are(easy, groups):
    for name, path in _wavs(easy).items():
        cycles = _cycles(path)
        crackle, wheeze = cycles[:, 2].mean(), cycles[:, 3].mean()
        match groups[name.split("_")[0]]:
            case "normal":
                assert (crackle, wheeze) == (0, 0)
            case "chronic":
                assert wheeze > 0
            case "infection":
                assert crackle > 0
                assert wheeze == 0


def _envelope_free_peak_db(segment: np.ndarray, rate: int) -> float:
    """How far the strongest line between 150 and 1000 Hz stands above its neighbourhood."""
    power = np.abs(np.fft.rfft(segment * np.hanning(segment.size))) ** 2
    hz = np.fft.rfftfreq(segment.size, 1 / rate)
    power, hz = power[(hz > 150) & (hz < 1000)], hz[(hz > 150) & (hz < 1000)]
    peak = int(np.argmax(power))
    around = power[np.abs(hz - hz[peak]) < 120]
    return float(10 * np.log10(power[peak] / np.median(around)))


def test_annotated_sounds_are_in_the_sound(easy):
    """Wheezing cycles hold a line that quiet ones lack; crackling cycles are spiky where quiet ones are smooth."""
    lines: dict[bool, list] = {True: [], False: []}
    spikes: dict[bool, list] = {True: [], False: []}
    for path in _wavs(easy).values():
        samples, rate = soundfile.read(path)
        for start, end, crackle, wheeze in _cycles(path):
            if end - start < 0.5:
                continue
            cycle = samples[round(start * rate) : round(end * rate)]
            quarter = cycle.size // 4
            pieces = [cycle[i : i + quarter] for i in range(0, cycle.size - quarter + 1, quarter // 2)]
            lines[bool(wheeze)].append(max(_envelope_free_peak_db(piece, rate) for piece in pieces))
            if not wheeze:
                jumps = np.diff(cycle[:: max(1, rate // 4000)], n=2)
                spikes[bool(crackle)].append(np.mean(jumps**4) / np.mean(jumps**2) ** 2)
    assert np.percentile(lines[True], 20) > np.percentile(lines[False], 80) + 5
    assert np.percentile(spikes[True], 20) > np.percentile(spikes[False], 80) * 2


def test_difficulty_runs_from_the_easy_rates_to_the_hard_ones():
    for diagnosis in DIAGNOSES:
        assert event_rates(diagnosis, 0.0) == EASY_EVENTS[diagnosis]
        np.testing.assert_allclose(event_rates(diagnosis, 1.0), HARD_EVENTS[diagnosis])
        middle = np.mean([EASY_EVENTS[diagnosis], HARD_EVENTS[diagnosis]], axis=0)
        np.testing.assert_allclose(event_rates(diagnosis, 0.5), middle)


def test_cycles_lie_in_order_inside_the_recording(easy):
    for path in _wavs(easy).values():
        cycles = _cycles(path)
        assert np.all(cycles[:, 0] < cycles[:, 1])
        assert np.all(np.diff(cycles[:, :2].ravel()) >= 0)
        assert cycles[-1, 1] <= soundfile.info(path).duration
        assert 1.0 < np.mean(cycles[:, 1] - cycles[:, 0]) < 4.5


@pytest.mark.parametrize(("two_cycle_s", "lowest_hz", "highest_hz"), [(0.005, 250, 700), (0.015, 80, 350)])
def test_a_crackle_has_two_cycles_and_its_initial_deflection(two_cycle_s, lowest_hz, highest_hz):
    shape = sounds.crackle(two_cycle_s, 0.13)
    crossings = np.flatnonzero(np.diff(np.sign(shape[np.abs(shape) > 1e-9])) != 0)
    assert shape.size == round(two_cycle_s * sounds.RATE_HZ)
    assert len(crossings) == 3  # two cycles
    assert abs((crossings[0] + 1) / shape.size - 0.13) < 0.03
    spectrum = np.abs(np.fft.rfft(shape, 8192))
    assert lowest_hz < np.fft.rfftfreq(8192, 1 / sounds.RATE_HZ)[np.argmax(spectrum)] < highest_hz


@pytest.mark.parametrize("frequency_hz", [150.0, 400.0, 900.0])
def test_a_wheeze_lies_at_its_pitch_and_only_in_its_time(frequency_hz):
    out = np.zeros(2 * sounds.RATE_HZ)
    sounds.add_wheeze(out, np.random.default_rng(3), 0.5, 0.6, frequency_hz, 1.0)
    inside = slice(round(0.5 * sounds.RATE_HZ), round(1.1 * sounds.RATE_HZ))
    assert not out[: inside.start].any()
    assert not out[inside.stop :].any()
    spectrum = np.abs(np.fft.rfft(out))
    assert np.fft.rfftfreq(out.size, 1 / sounds.RATE_HZ)[np.argmax(spectrum)] == pytest.approx(frequency_hz, rel=0.2)


def _spectra(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean spectrum in bands between 100 and 1800 Hz, level removed; group; patient."""
    diagnosis = dict(line.split("\t") for line in (folder / "ICBHI_Challenge_diagnosis.txt").read_text().splitlines())
    rows, group, patient = [], [], []
    for name, path in _wavs(folder).items():
        samples, rate = soundfile.read(path)
        frame = rate // 4
        frames = np.lib.stride_tricks.sliding_window_view(samples, frame)[:: frame // 2] * np.hanning(frame)
        power = np.median(np.abs(np.fft.rfft(frames)) ** 2, axis=0)
        hz = np.fft.rfftfreq(frame, 1 / rate)
        edges = np.geomspace(100, 1800, 31)
        bands = [np.log(power[(hz >= a) & (hz < b)].mean()) for a, b in itertools.pairwise(edges)]
        rows.append(np.array(bands) - np.mean(bands))
        patient.append(name.split("_")[0])
        group.append(GROUP_OF[diagnosis[patient[-1]]])
    return np.array(rows), np.array(group), np.array(patient)


def _accuracy_on_unseen_patients(folder: Path) -> float:
    """Nearest group mean, each patient left out in turn."""
    rows, group, patient = _spectra(folder)
    right = 0
    for i in range(len(rows)):
        others = patient != patient[i]
        means = {g: rows[others & (group == g)].mean(0) for g in GROUPS}
        right += min(means, key=lambda g: float(np.sum((means[g] - rows[i]) ** 2))) == group[i]
    return right / len(rows)


def test_a_planted_signature_tells_the_group_where_nothing_else_does(tmp_path):
    mute = {
        "events_informative": False,
        "patients_per_group": 10,
        "recordings_per_patient": (1, 1),
        "duration_s": (4.0, 5.0),
    }
    planted = SyntheticConfig(plant_stethoscope=True, plant_correlation=1.0, **mute)
    assert _accuracy_on_unseen_patients(write_corpus(tmp_path / "planted", planted)) > 0.9
    assert _accuracy_on_unseen_patients(write_corpus(tmp_path / "plain", SyntheticConfig(**mute))) < 0.6
    tags = {(GROUP_OF[p.diagnosis], p.stethoscope) for p in draw_cohort(planted)}
    assert len(tags) == 3
    loose = draw_cohort(SyntheticConfig(plant_stethoscope=True, plant_correlation=0.5, patients_per_group=60))
    share = Counter(p.stethoscope for p in loose if p.diagnosis == "Healthy")["Meditron"] / 60
    assert 0.5 < share < 0.85  # half of them surely, a third of the rest by chance


@pytest.mark.parametrize(
    "change",
    [
        {"patients_per_group": 0},
        {"recordings_per_patient": (3, 2)},
        {"duration_s": (1.0, 5.0)},
        {"difficulty": 1.5},
        {"plant_correlation": -0.1},
    ],
)
def test_impossible_configurations_are_named(change):
    with pytest.raises(SyntheticConfigError, match=next(iter(change))):
        SyntheticConfig(**change)


def test_an_occupied_folder_is_left_alone_and_a_failure_leaves_none(tmp_path, monkeypatch):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("three years")
    with pytest.raises(SyntheticConfigError, match="full has something in it"):
        write_corpus(tmp_path / "full", SMALL)
    assert (tmp_path / "full" / "thesis.txt").read_text() == "three years"
    with pytest.raises(SyntheticConfigError, match="layout 'mendeley'"):
        write_corpus(tmp_path / "x", SMALL, layout="mendeley")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, "_published_split", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_corpus(tmp_path / "half", SyntheticConfig(patients_per_group=1, duration_s=(2.0, 2.0)))
    assert [p.name for p in tmp_path.iterdir()] == ["full"]
