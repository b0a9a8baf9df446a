"""The ICBHI builder: faithful to the folder, strict about its faults, whole or absent on disk."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from jaxresp.audio import read_audio
from jaxresp.corpus import SPLIT, DatasetError, load, prepare
from jaxresp.corpus.source import Faults
from jaxresp.shipped import load_module
from jaxresp.synthetic import SyntheticConfig, write_corpus
from jaxresp.taxonomy import DIAGNOSES, DIAGNOSIS

CONFIG = SyntheticConfig(patients_per_group=2, recordings_per_patient=(1, 2), duration_s=(2.0, 4.0))


def _builder_module() -> Any:
    return load_module("datasets/icbhi/icbhi_dataset_builder.py", "jaxresp._shipped_icbhi")


def _folder_module() -> Any:
    return _builder_module().icbhi_folder


def _examples(prepared: Path) -> list[dict[str, Any]]:
    import tensorflow_datasets as tfds

    return list(tfds.builder_from_directory(prepared).as_data_source(SPLIT))


def _targets(data_dir: Path) -> list[str]:
    """What lies where prepared versions lie, the lock apart."""
    return sorted(p.name for p in data_dir.glob("icbhi/*/*") if p.name != ".lock")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("pristine") / "corpus", CONFIG)


@pytest.fixture
def folder(pristine, tmp_path) -> Path:
    """A copy to spoil."""
    return shutil.copytree(pristine, tmp_path / "corpus")


@pytest.fixture(scope="module")
def prepared(pristine, tmp_path_factory) -> Path:
    return prepare(pristine, tmp_path_factory.mktemp("prepared"), partial=True)


def _wav(folder: Path, i: int) -> Path:
    return sorted(folder.rglob("*.wav"))[i]


# What is built


def test_examples_hold_what_the_folder_says(pristine, prepared):
    demographics = {
        line.split()[0]: line.split()[1:]
        for line in (pristine / "ICBHI_Challenge_demographic_information.txt").read_text().splitlines()
        if line
    }
    diagnosis = dict(map(str.split, (pristine / "ICBHI_Challenge_diagnosis.txt").read_text().splitlines()))
    sides = dict(line.split("\t") for line in (pristine / "ICBHI_challenge_train_test.txt").read_text().splitlines())
    examples = _examples(prepared)
    wavs = sorted(pristine.rglob("*.wav"))
    assert [e["recording"].decode() for e in examples] == [p.stem for p in wavs]
    for example, path in zip(examples, wavs, strict=True):
        patient, index, location, mode, stethoscope = path.stem.split("_")
        for key, value in (
            ("patient", patient), ("index", index), ("location", location), ("mode", mode),
            ("stethoscope", stethoscope), ("diagnosis", diagnosis[patient]), ("official_split", sides[path.stem]),
        ):  # fmt: skip
            assert example[key].decode() == value
        told = [example["age_years"], example["bmi"], example["weight_kg"], example["height_cm"]]
        age, sex, *body = demographics[patient]
        expected = [np.nan if v == "NA" else float(v) for v in (age, *body)]
        np.testing.assert_allclose(told, expected, rtol=1e-6)
        assert example["sex"].decode() == sex.replace("NA", "")
        recording = read_audio(path)
        np.testing.assert_array_equal(example["audio"], recording.samples)
        assert example["audio"].dtype == np.int16
        assert example["scale"] == recording.scale
        info = soundfile.info(path)
        assert (example["rate_hz"], example["native_rate_hz"], example["channels"]) == (16_000, info.samplerate, 1)
        assert f"PCM_{example['bits']}" == info.subtype
        rows = np.loadtxt(path.with_suffix(".txt"), ndmin=2)
        cycles = example["cycles"]
        np.testing.assert_array_equal(cycles["start_s"], rows[:, 0].astype(np.float32))
        np.testing.assert_array_equal(cycles["end_s"], rows[:, 1].astype(np.float32))
        np.testing.assert_array_equal(cycles["crackle"], rows[:, 2] == 1)
        np.testing.assert_array_equal(cycles["wheeze"], rows[:, 3] == 1)


def test_both_layouts_and_any_depth_give_the_same_examples(prepared, tmp_path):
    kaggle = write_corpus(tmp_path / "k", CONFIG, layout="kaggle")
    deeper = tmp_path / "downloads" / "archive"
    deeper.mkdir(parents=True)
    kaggle.rename(deeper / "k")
    # Kaggle's archive holds everything twice, and one packed on a Mac its shadows
    shutil.copytree(deeper / "k" / "Respiratory_Sound_Database", deeper / "k" / "respiratory_sound_database")
    shadow = _wav(deeper, 0)
    (shadow.parent / f"._{shadow.name}").write_bytes(b"Mac OS X")
    csv = next(deeper.rglob("patient_diagnosis.csv"))
    csv.write_text("\n".join(csv.read_text().splitlines()[1:]) + "\n")  # the copy now on Kaggle has no header
    theirs = _examples(prepare(tmp_path / "downloads", tmp_path / "data", partial=True))
    for a, b in zip(_examples(prepared), theirs, strict=True):
        assert b.pop("official_split") == b""
        a.pop("official_split")
        np.testing.assert_array_equal(a.pop("audio"), b.pop("audio"))
        np.testing.assert_equal(a, b)


def test_the_official_split_is_joined_without_the_stethoscope(folder, tmp_path):
    file = folder / "ICBHI_challenge_train_test.txt"
    lines = file.read_text().splitlines()
    name, side = lines[0].split("\t")
    parts = name.split("_")
    other = "Meditron" if parts[-1] != "Meditron" else "AKGC417L"
    file.write_text("\n".join(["_".join([*parts[:-1], other]) + "\t" + side, *lines[1:]]) + "\n")
    corpus = load(prepare(folder, tmp_path / "data", partial=True))
    row = corpus.recording.tolist().index(name)
    assert corpus.official_split[row] == side
    assert corpus.stethoscope[row] == parts[-1]


def test_demographics_may_be_absent(folder, tmp_path):
    (folder / "ICBHI_Challenge_demographic_information.txt").unlink()
    corpus = load(prepare(folder, tmp_path / "data", partial=True))
    assert np.isnan(corpus.age_years).all()
    assert set(corpus.sex.tolist()) == {""}


# What is refused


def _no_diagnosis(folder: Path) -> str:
    file = folder / "ICBHI_Challenge_diagnosis.txt"
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[1:]) + "\n")
    return f"patient {lines[0].split()[0]} has no diagnosis"


def _renamed(folder: Path) -> str:
    wav = _wav(folder, 0)
    wav.with_suffix(".txt").rename(wav.with_name("101_left_lung.txt"))
    wav.rename(wav.with_name("101_left_lung.wav"))
    return "101_left_lung.wav: the name is not patient_index_location_mode_stethoscope"


def _replace_row(row: str) -> Any:
    def spoil(folder: Path) -> str:
        text = _wav(folder, 1).with_suffix(".txt")
        text.write_text(row + "\n" + text.read_text())
        return f"{text.name}, line 1: "

    return spoil


def _write(name: str, content: bytes, told: str) -> Any:
    def spoil(folder: Path) -> str:
        path = (
            _wav(folder, 2)
            if name == "wav"
            else _wav(folder, 2).with_suffix(".txt")
            if name == "txt"
            else folder / name
        )
        path.write_bytes(content)
        return f"{path.name}{told}"

    return spoil


def _remove(what: str) -> Any:
    def spoil(folder: Path) -> str:
        wav = _wav(folder, 3)
        if what == "txt":
            wav.with_suffix(".txt").unlink()
            return f"{wav.name}: no annotation {wav.stem}.txt beside it"
        if what == "wav":
            wav.unlink()
            return f"{wav.stem}.txt: no sound {wav.stem}.wav beside it"
        (folder / what).unlink()
        return f"{what}: missing; put it, or Kaggle's patient_diagnosis.csv"

    return spoil


def _half(folder: Path) -> str:
    wav = _wav(folder, 2)
    wav.write_bytes(wav.read_bytes()[: wav.stat().st_size // 2])
    return f"{wav.name}: "


def _silent(folder: Path) -> str:
    wav = _wav(folder, 2)
    soundfile.write(wav, np.zeros(32_000), 8_000)
    return f"{wav.name}: "


def _too_late(folder: Path) -> str:
    text = _wav(folder, 4).with_suffix(".txt")
    text.write_text("0.1\t99\t0\t0\n")
    return f"{text.name}: annotated to 99.000 s"


def _split_row_missing(folder: Path) -> str:
    file = folder / "ICBHI_challenge_train_test.txt"
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[:-1]) + "\n")
    return f"{lines[-1].split()[0]}.wav: not in ICBHI_challenge_train_test.txt"


def _two_of_one_name(folder: Path) -> str:
    wav = _wav(folder, 0)
    (folder / "copy").mkdir()
    shutil.copy(_wav(folder, 1), folder / "copy" / wav.name)
    return f"{wav.name}: two files of this name"


FAULTS = {
    "patient without diagnosis": _no_diagnosis,
    "unparsable name": _renamed,
    "words for numbers": _replace_row("start end crackle wheeze"),
    "three columns": _replace_row("0.1\t0.2\t1"),
    "backwards": _replace_row("0.9\t0.2\t1\t0"),
    "flag of two": _replace_row("0.1\t0.2\t2\t0"),
    "not a number": _replace_row("nan\t0.2\t0\t0"),
    "text as sound": _write("wav", b"I am no sound", ": "),
    "empty sound": _write("wav", b"", ": "),
    "half a sound": _half,
    "silent sound": _silent,
    "empty annotation": _write("txt", b"", ": no cycle is annotated"),
    "annotated beyond the end": _too_late,
    "no annotation": _remove("txt"),
    "no sound": _remove("wav"),
    "no diagnosis file": _remove("ICBHI_Challenge_diagnosis.txt"),
    "unknown diagnosis": _write(
        "ICBHI_Challenge_diagnosis.txt", b"101\tPlague\n", ", line 1: unknown diagnosis 'Plague'"
    ),
    "bad demographics": _write("ICBHI_Challenge_demographic_information.txt", b"101 old F NA 19 99\n", ", line 1: "),
    "bad split": _write("ICBHI_challenge_train_test.txt", b"101_1b1_Al_sc_Meditron\tboth\n", ", line 1: "),
    "recording not in the split": _split_row_missing,
    "two files of one name": _two_of_one_name,
}


@pytest.mark.parametrize("spoil", FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_named_by_file_with_its_remedy_and_nothing_is_left(folder, tmp_path, spoil):
    told = spoil(folder)
    with pytest.raises(DatasetError) as caught:
        prepare(folder, tmp_path / "data", partial=True)
    line = next((line for line in str(caught.value).splitlines() if told in line), None)
    assert line is not None, str(caught.value)
    assert "; " in line.split(told, maxsplit=1)[1] + told, "a remedy follows"
    assert _targets(tmp_path / "data") == []


def test_all_faults_are_told_at_once(folder, tmp_path):
    told = [
        FAULTS[name](folder)
        for name in (
            "text as sound",
            "three columns",
            "recording not in the split",
            "bad demographics",
            "no annotation",
        )
    ]
    with pytest.raises(DatasetError) as caught:
        prepare(folder, tmp_path / "data", partial=True)
    for part in told:
        assert part in str(caught.value)


def test_many_faults_are_counted_and_not_all_listed(folder):
    faults = Faults(folder)
    for i in range(100):
        faults.add(f"{i:03d}.wav", "broken", "copy it again")
    with pytest.raises(DatasetError, match="100 faults") as caught:
        faults.raise_if_any()
    assert len(str(caught.value).splitlines()) == 42
    assert "60 more" in str(caught.value)


@pytest.mark.parametrize("what", ["absent", "file", "empty", "other"])
def test_what_is_no_icbhi_folder_is_said_so(tmp_path, what):
    path = tmp_path / "given"
    if what == "file":
        path.write_text("x")
    elif what != "absent":
        path.mkdir()
    if what == "other":
        (path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(DatasetError, match=r"given is (not a folder|no ICBHI folder).*[Gg]ive the folder"):
        prepare(path, tmp_path / "data", partial=True)


def test_a_part_is_built_only_when_a_part_is_meant(folder, tmp_path, monkeypatch):
    n, patients = len(list(folder.rglob("*.wav"))), 3 * CONFIG.patients_per_group
    with pytest.raises(DatasetError, match=rf"holds {n} recordings of {patients} patients.*920 of 126.*--partial"):
        prepare(folder, tmp_path / "data")
    assert _targets(tmp_path / "data") == []
    monkeypatch.setattr(_folder_module(), "COMPLETE_RECORDINGS", n)
    monkeypatch.setattr(_folder_module(), "COMPLETE_PATIENTS", patients)
    assert not load(prepare(folder, tmp_path / "data")).partial
    # a complete corpus must have the whole of the split
    file = folder / "ICBHI_challenge_train_test.txt"
    file.write_text(file.read_text() + "226_1b1_Al_sc_Meditron\ttest\n")
    with pytest.raises(DatasetError, match=rf"{n + 1} rows for {n} recordings"):
        prepare(folder, tmp_path / "data")


# What is on disk


def _stamps(directory: Path) -> dict[str, int]:
    return {p.name: p.stat().st_mtime_ns for p in directory.iterdir()}


def test_building_again_changes_nothing_unless_the_files_changed(folder, tmp_path):
    first = prepare(folder, tmp_path / "data", partial=True)
    stamps, fingerprint = _stamps(first), load(first).fingerprint
    assert prepare(folder, tmp_path / "data", partial=True) == first
    assert _stamps(first) == stamps
    assert load(prepare(folder, tmp_path / "other", partial=True)).fingerprint == fingerprint
    text = _wav(folder, 0).with_suffix(".txt")
    text.write_text("0.1\t0.2\t1\t1\n")
    assert load(prepare(folder, tmp_path / "data", partial=True)).fingerprint != fingerprint
    assert _targets(tmp_path / "data") == [first.name]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("disk full"), MemoryError])
def test_a_failing_build_leaves_nothing_or_what_was_there(folder, tmp_path, monkeypatch, error):
    module = _builder_module().recording_builder
    calls = Counter()

    def failing(path: Path, **kwargs: Any) -> Any:
        calls["n"] += 1
        if calls["n"] == 4:
            raise error
        return read_audio(path, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(module, "read_audio", failing)
        with pytest.raises(error if isinstance(error, type) else type(error)):
            prepare(folder, tmp_path / "data", partial=True)
    assert _targets(tmp_path / "data") == []

    done = prepare(folder, tmp_path / "data", partial=True)
    before = load(done).fingerprint
    _wav(folder, 0).with_suffix(".txt").write_text("0.1\t0.2\t1\t1\n")
    calls.clear()
    with monkeypatch.context() as patch:
        patch.setattr(module, "read_audio", failing)
        with pytest.raises(error if isinstance(error, type) else type(error)):
            prepare(folder, tmp_path / "data", partial=True)
    assert _targets(tmp_path / "data") == [done.name]
    assert load(done).fingerprint == before


def _prepare_in_a_process(folder: Path, data_dir: Path) -> subprocess.Popen[str]:
    code = "import sys; from pathlib import Path; from jaxresp.corpus import prepare; "
    code += "prepare(Path(sys.argv[1]), Path(sys.argv[2]), partial=True)"
    return subprocess.Popen(
        [sys.executable, "-c", code, folder, data_dir], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


@pytest.mark.slow
def test_a_killed_build_leaves_nothing_that_looks_finished(folder, tmp_path):
    """SIGKILL at moments spread over the build: what is there then is whole or refused, and the next build works."""
    reference = tmp_path / "reference"
    begin = time.monotonic()
    process = _prepare_in_a_process(folder, reference)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    whole_s = time.monotonic() - begin
    fingerprint = load(next(reference.glob("icbhi/*/1.0.0"))).fingerprint
    data_dir = tmp_path / "data"
    for fraction in np.linspace(0.3, 1.0, 12):
        process = _prepare_in_a_process(folder, data_dir)
        time.sleep(fraction * whole_s)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        for directory in data_dir.glob("icbhi/*/1.0.0"):
            assert load(directory).fingerprint == fingerprint
            shutil.rmtree(directory)
    assert load(prepare(folder, data_dir, partial=True)).fingerprint == fingerprint
    assert _targets(data_dir) == ["1.0.0"]  # and what the killed ones left is gone


@pytest.mark.slow
def test_two_builds_at_once_make_one_dataset(folder, tmp_path):
    processes = [_prepare_in_a_process(folder, tmp_path / "data") for _ in range(3)]
    for process in processes:
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    assert _targets(tmp_path / "data") == ["1.0.0"]
    assert len(load(next((tmp_path / "data").glob("icbhi/*/1.0.0")))) == len(list(folder.rglob("*.wav")))


def test_the_builder_is_one_tfds_knows(prepared, pristine, tmp_path):
    """TFDS's own call, with manual_dir, builds the same; citation, description and tags are found."""
    import tensorflow_datasets as tfds

    builder = _builder_module().Builder(data_dir=tmp_path, file_format="array_record", partial=True)
    assert builder.name == "icbhi"
    assert "10.1088/1361-6579/ab03ea" in builder.info.citation
    assert "126 patients" in builder.info.description
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=pristine))
    assert load(Path(builder.data_dir)).fingerprint == load(prepared).fingerprint
    assert json.loads((Path(builder.data_dir) / "metadata.json").read_text())["partial"] is True


# Real recordings


@pytest.fixture(scope="module")
def real(real_data, tmp_path_factory) -> Path:
    return prepare(real_data / "icbhi", tmp_path_factory.mktemp("real"), partial=True)


@pytest.mark.real_data
def test_real_recordings(real, real_data):
    corpus = load(real)
    assert (len(corpus), len(set(corpus.patient.tolist())), corpus.partial, corpus.made_up) == (67, 26, True, False)
    assert set(corpus.diagnosis.tolist()) == set(DIAGNOSES)
    assert min(corpus.patients_per_class(DIAGNOSIS).values()) >= 1
    assert Counter(corpus.native_rate_hz.tolist()) == {4_000: 33, 10_000: 6, 44_100: 28}
    assert Counter(corpus.bits.tolist()) == {16: 53, 24: 14}
    assert set(corpus.official_split.tolist()) == {"train", "test"}
    wavs = {p.stem: p for p in (real_data / "icbhi").rglob("*.wav")}
    for example in _examples(real):
        path = wavs[example["recording"].decode()]
        rows = np.loadtxt(path.with_suffix(".txt"), ndmin=2)
        cycles = example["cycles"]
        found = np.stack([cycles[k].astype(float) for k in ("start_s", "end_s", "crackle", "wheeze")], axis=1)
        np.testing.assert_allclose(found, rows, atol=1e-5)
        info = soundfile.info(path)
        assert len(example["audio"]) == pytest.approx(info.duration * 16_000, abs=2)
        assert (example["native_rate_hz"], f"PCM_{example['bits']}") == (info.samplerate, info.subtype)


@pytest.mark.real_data
def test_int16_times_scale_is_the_real_sound(real, real_data):
    """Half a step of int16 is all that is lost, at any level: against soundfile and soxr, not against ourselves."""
    import soxr

    corpus = load(real)
    wavs = {p.stem: p for p in (real_data / "icbhi").rglob("*.wav")}
    for row in range(0, len(corpus), 9):
        samples, rate = soundfile.read(wavs[corpus.recording[row]])
        expected = soxr.resample(samples, rate, corpus.rate_hz, "VHQ")
        waveform = corpus.waveform(row)
        n = min(len(expected), len(waveform))
        error = np.abs(expected[:n] - waveform[:n])[200:-200].max()
        assert error < 2e-4 * np.abs(expected).max() + float(corpus.scale[row])
        assert corpus.scale[row] * 32767 == pytest.approx(np.abs(waveform).max(), rel=1e-4)


@pytest.mark.real_data
def test_real_split_row_with_another_stethoscope_is_joined(real):
    corpus = load(real)
    row = corpus.recording.tolist().index("226_1b1_Pl_sc_LittC2SE")  # the published split says Meditron
    assert corpus.official_split[row] in ("train", "test")
    assert corpus.stethoscope[row] == "LittC2SE"
    assert "" not in corpus.official_split.tolist()


@pytest.mark.real_data
def test_real_kaggle_layout_gives_the_same(real, real_data_kaggle, tmp_path):
    ours, theirs = load(real), load(prepare(real_data_kaggle / "icbhi", tmp_path, partial=True))
    np.testing.assert_array_equal(ours.samples, theirs.samples)
    for column in ("recording", "diagnosis", "scale", "age_years", "sex", "native_rate_hz", "bits"):
        np.testing.assert_array_equal(getattr(ours, column), getattr(theirs, column))
    assert set(theirs.official_split.tolist()) == {""}
