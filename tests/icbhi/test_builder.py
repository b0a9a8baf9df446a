"""What the ICBHI builder writes is what the folder says, whatever its layout and whatever the configuration."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from jaxresp.audio import read_audio
from jaxresp.corpus import SPLIT, CorpusError, load, prepare
from jaxresp.synthetic import write_corpus


def _examples(prepared: Path, split: str = SPLIT) -> list[dict[str, Any]]:
    import tensorflow_datasets as tfds

    return list(tfds.builder_from_directory(prepared).as_data_source(split))


def _wav(folder: Path, i: int) -> Path:
    return sorted(folder.rglob("*.wav"))[i]


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


def _same_but(ours: list[dict[str, Any]], theirs: list[dict[str, Any]], *columns: str) -> None:
    for a, b in zip(ours, theirs, strict=True):
        a, b = ({key: value for key, value in each.items() if key not in columns} for each in (a, b))
        np.testing.assert_array_equal(a.pop("audio"), b.pop("audio"))
        np.testing.assert_equal(a, b)


def test_both_layouts_and_any_depth_give_the_same_examples(prepared, made_up, tmp_path):
    kaggle = write_corpus(tmp_path / "k", made_up, layout="kaggle")
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
    _same_but(_examples(prepared), theirs, "official_split", "stethoscope_disputed")
    assert {each["official_split"] for each in theirs} == {b""}
    disputed = next(deeper.rglob("filename_differences.txt")).read_text().split()
    named = {e["recording"].decode(): e["stethoscope_disputed"].decode() for e in theirs if e["stethoscope_disputed"]}
    assert sorted(f"'{name.rpartition('_')[0]}_{other}'" for name, other in named.items()) == sorted(disputed)
    assert len(disputed) > 1


def _zipped(archive: Path, folder: Path) -> None:
    """Everything in a folder, and what archives made on a Mac carry besides."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, path.relative_to(folder.parent))
            file.writestr(f"__MACOSX/{path.relative_to(folder.parent)}", b"Mac OS X")


@pytest.mark.parametrize("given", ["folder", "file"])
def test_an_archive_that_was_not_unpacked_gives_the_same(folder, prepared, tmp_path, given):
    archive = folder / "ICBHI_final_database.zip"
    _zipped(archive, folder / "ICBHI_final_database")
    shutil.rmtree(folder / "ICBHI_final_database")
    built = prepare(folder if given == "folder" else archive, tmp_path / "data", partial=True)
    assert load(built).fingerprint == load(prepared).fingerprint
    assert list(folder.rglob("*.wav")) == []


def test_kaggles_archive_is_read_where_it_is(prepared, made_up, tmp_path):
    kaggle = write_corpus(tmp_path / "k", made_up, layout="kaggle")
    shutil.copytree(kaggle / "Respiratory_Sound_Database", kaggle / "respiratory_sound_database")
    _zipped(tmp_path / "archive.zip", kaggle)
    theirs = _examples(prepare(tmp_path / "archive.zip", tmp_path / "data", partial=True))
    _same_but(_examples(prepared), theirs, "official_split", "stethoscope_disputed")


def test_another_stethoscope_named_by_the_publisher_is_told_beside_the_first(folder, tmp_path):
    names = [path.stem for path in sorted(folder.rglob("*.wav"))]
    named = {name: name.rpartition("_")[2] for name in names[:3]} | {names[1]: "Another1"}
    rows = [f"'{name.rpartition('_')[0]}_{other}'\r\n" for name, other in named.items()]
    (folder / "filename_differences.txt").write_text("".join(rows))
    corpus = load(prepare(folder, tmp_path / "data", partial=True))
    assert corpus.stethoscope_disputed.tolist() == ["", "Another1", *([""] * (len(names) - 2))]
    assert corpus.stethoscope.tolist() == [name.rpartition("_")[2] for name in names]


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


# Configurations


@pytest.mark.parametrize("rate_hz", [8_000, 4_000, None])
def test_a_configuration_holds_the_published_sound_at_its_rate(pristine, tmp_path, rate_hz):
    config = f"recordings_{rate_hz // 1000}k" if rate_hz else "recordings_native"
    built = prepare(pristine, tmp_path, config=config, partial=True)
    for example, wav in zip(_examples(built), sorted(pristine.rglob("*.wav")), strict=True):
        native_hz = soundfile.info(wav).samplerate
        assert (example["rate_hz"], example["native_rate_hz"]) == (rate_hz or native_hz, native_hz)
        expected = read_audio(wav, rate_hz=rate_hz)
        np.testing.assert_array_equal(example["audio"], expected.samples)
        if rate_hz in (None, native_hz):  # nothing is resampled
            published, _ = soundfile.read(wav)
            np.testing.assert_allclose(example["audio"] * example["scale"], published, atol=0.51 * example["scale"])
    if rate_hz:
        assert load(built).rate_hz == rate_hz
    else:
        with pytest.raises(CorpusError, match=r"rates of their own.*prepare such a configuration \(recordings_16k"):
            load(built)


def test_cycles_are_cut_out_of_the_recordings(folder, tmp_path):
    late = _wav(folder, 0)  # its last cycle ends 30 ms after its sound
    cycles = np.loadtxt(late.with_suffix(".txt"), ndmin=2)
    cycles[-1, 1] = soundfile.info(late).duration + 0.03
    np.savetxt(late.with_suffix(".txt"), cycles, fmt=["%.6f", "%.6f", "%d", "%d"])
    recordings = {e["recording"]: e for e in _examples(prepare(folder, tmp_path, partial=True))}
    built = prepare(folder, tmp_path, config="cycles_16k", partial=True)
    seen: dict[bytes, int] = dict.fromkeys(recordings, 0)
    for cycle in _examples(built, "cycles"):
        whole = recordings[cycle["recording"]]
        k = seen[cycle["recording"]]
        assert cycle["number"] == k
        seen[cycle["recording"]] += 1
        for key in ("start_s", "end_s", "crackle", "wheeze", "label"):
            assert cycle[key] == whole["cycles"][key][k]
        first, last = (round(float(cycle[key]) * 16_000) for key in ("start_s", "end_s"))
        np.testing.assert_array_equal(cycle["audio"], whole["audio"][first:last])
        ends_late = cycle["recording"].decode() == late.stem and k == len(cycles) - 1
        assert bool(cycle["cut"]) == ends_late
        assert (len(cycle["audio"]) < last - first) == ends_late
        for key in whole.keys() - {"audio", "cycles"}:
            np.testing.assert_equal(cycle[key], whole[key])
    assert seen == {name: len(each["cycles"]["start_s"]) for name, each in recordings.items()}
    (finding,) = json.loads((built / "metadata.json").read_text())["findings"]
    assert finding.startswith(f"1 recording is annotated beyond the end of the sound, by at most 30.0 ms ({late.stem})")
    with pytest.raises(CorpusError, match=r"holds single cycles.*prepare such a configuration"):
        load(built)


# What nobody can mend


def test_a_sound_that_is_there_twice_is_built_and_told(folder, tmp_path):
    wavs = sorted(folder.rglob("*.wav"))
    diagnosis = dict(map(str.split, (folder / "ICBHI_Challenge_diagnosis.txt").read_text().splitlines()))
    first = wavs[0]
    patient = first.stem[:3]
    other = next(wav for wav in wavs if diagnosis[wav.stem[:3]] != diagnosis[patient])
    samples, rate_hz = soundfile.read(first)
    soundfile.write(other, 0.5 * samples, rate_hz, subtype="PCM_24")  # quieter, and in another encoding
    shutil.copy(first.with_suffix(".txt"), other.with_suffix(".txt"))
    corpus = load(prepare(folder, tmp_path / "data", partial=True))
    assert len(corpus) == len(wavs)
    (finding,) = corpus.findings
    said = (
        f"the same sound in {first.stem}, {other.stem} of different patients ({patient}, {other.stem[:3]}); diagnoses"
    )
    assert finding.startswith(said)
    assert "annotations differ" not in finding


def test_a_corpus_without_duplicates_has_no_findings(prepared):
    assert load(prepared).findings == ()


def test_the_builder_is_one_tfds_knows(prepared, pristine, builder_module, tmp_path):
    """TFDS's own call, with manual_dir, builds the same; citation, description and tags are found."""
    import tensorflow_datasets as tfds

    builder = builder_module.Builder(data_dir=tmp_path, file_format="array_record", partial=True)
    assert builder.name == "icbhi"
    assert "10.1088/1361-6579/ab03ea" in builder.info.citation
    assert "126 patients" in builder.info.description
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=pristine))
    assert load(Path(builder.data_dir)).fingerprint == load(prepared).fingerprint
    assert {c.name for c in builder.BUILDER_CONFIGS} == set(builder.RATES_HZ)
    assert json.loads((Path(builder.data_dir) / "metadata.json").read_text())["partial"] is True
