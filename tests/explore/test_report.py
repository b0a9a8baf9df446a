"""The page says what is in the corpus, can be read by everybody, fetches nothing, and is whole or absent."""

from __future__ import annotations

import base64
import contextlib
import io
import itertools
import json
import re
import wave
from collections import Counter
from html import escape

import numpy as np
import pytest
import soxr

from jaxresp import cli, cli_train
from jaxresp.explore import ExploreConfig, ExploreError, explore, overview, write_report
from jaxresp.explore import report as writing
from jaxresp.explore import statistics as stats
from jaxresp.explore.sound_figures import clip_wav
from jaxresp.explore.without_listening import questions
from jaxresp.pages.style import COLOURS, class_colours

from .conftest import little_corpus


@pytest.fixture(scope="module")
def page(report, take_apart):
    return take_apart(report.html)


@pytest.fixture(scope="module", params=["report", "bare_report"])
def either(request, take_apart):
    return take_apart(request.getfixturevalue(request.param).html)


# What it says


def test_the_numbers_at_the_top_are_those_of_the_corpus(page, uneven_corpus):
    numbers = [text for where, text in page.texts if where == "dd"]
    minutes = len(uneven_corpus.samples) / uneven_corpus.rate_hz / 60
    assert numbers == [
        str(len(set(uneven_corpus.patient.tolist()))),
        str(len(uneven_corpus)),
        f"{minutes:.1f}",
        str(len(uneven_corpus.annotations)),
        str(len(set(uneven_corpus.diagnosis.tolist()))),
    ]


def test_the_table_of_classes_is_a_recount(page, uneven_corpus):
    head, *rows = page.tables["Diagnoses"]
    assert head[:4] == ["diagnosis", "patients", "recordings", "minutes"]
    for name, patients, recordings, minutes, _ in rows:
        here = np.flatnonzero(uneven_corpus.diagnosis == name).tolist()
        assert int(patients) == len(set(uneven_corpus.patient[here].tolist()))
        assert int(recordings) == len(here)
        seconds = sum(len(uneven_corpus.waveform(i)) for i in here) / uneven_corpus.rate_hz
        assert float(minutes) == pytest.approx(seconds / 60, abs=0.051)
    assert sum(int(row[2]) for row in rows) == len(uneven_corpus)


@pytest.mark.parametrize(
    ("caption", "column"),
    [
        ("Stethoscope by diagnosis", "stethoscope"),
        ("Chest location by diagnosis", "location"),
        ("Acquisition mode by diagnosis", "mode"),
        ("Published split by diagnosis", "official_split"),
    ],
)
def test_heat_maps_are_recounts(page, uneven_corpus, caption, column):
    head, *rows = page.tables[caption]
    values = getattr(uneven_corpus, column)
    assert set(head[1:-1]) == {value or stats.NOT_GIVEN for value in values.tolist()}
    for name, *counts, total in rows:
        here = uneven_corpus.diagnosis == name
        assert int(total) == here.sum()
        for value, count in zip(head[1:-1], counts, strict=True):
            wanted = "" if value == stats.NOT_GIVEN else value
            assert int(count) == np.sum(here & (values == wanted)), (name, value)


def test_annotations_and_gaps_are_recounts(page, uneven_corpus):
    labels = Counter(uneven_corpus.annotations.label.tolist())
    assert {row[0]: int(row[2]) for row in page.tables["Intervals by label"][1:]} == labels
    gaps = {row[0]: (row[1], int(row[2]), int(row[3])) for row in page.tables["What is not known"][1:]}
    assert gaps["stethoscope"] == ("recordings", int(np.sum(uneven_corpus.stethoscope == "")), len(uneven_corpus))
    ages = dict(zip(uneven_corpus.patient.tolist(), uneven_corpus.age_years.tolist(), strict=True))
    assert gaps["age"] == ("patients", sum(np.isnan(list(ages.values()))), len(ages))


def test_the_shortcuts_are_those_computed(page, uneven_corpus):
    asked = questions(uneven_corpus, stats.classes_of(uneven_corpus), seed=4)
    for question, title in zip(asked, ("Normal or abnormal", "Normal, chronic or infection"), strict=True):
        head, *rows = page.tables[f"{title}, without listening"]
        assert head == ["known alone", "balanced accuracy", "95 %", "AUROC", "95 %"]
        assert [(row[0], float(row[1]), float(row[3])) for row in rows] == [
            (clue.name, round(clue.balanced_accuracy, 3), round(clue.macro_roc_auc, 3)) for clue in question.clues
        ]
        best = max(question.clues, key=lambda clue: clue.balanced_accuracy)
        assert rows[0][0] == best.name


def test_what_must_not_be_overlooked_is_said(page, report):
    words = " ".join(text for _, text in page.texts)
    assert [attributes for attributes in page.all("li") if attributes.get("class") == "badge"]
    assert "Partial: this is less than was published" in words and "Made up: jaxresp wrote these recordings" in words
    assert "research tool, not a medical device" in words
    assert "<audio" not in report.html and "do not pass it on" not in words


def test_findings_of_the_builder_are_passed_on():
    findings = ("r1.wav and r2.wav hold the same sound",)
    html = explore(little_corpus(2, findings=findings)).html
    assert f'<p class="remark">{findings[0]}</p>' in html and "One finding is listed below" in html


def test_what_is_not_known_is_left_out_and_named(bare_report, take_apart):
    page = take_apart(bare_report.html)
    words = " ".join(text for _, text in page.texts)
    assert "No patient's age is known" in words and "No patient's sex is known" in words
    assert re.search(r"Known of none in this corpus: .*age.*annotated intervals", words)
    assert "the corpus has one class only" in words
    assert not {"ages", "sexes", "annotation-labels", "bandwidths"} & {a.get("id") for a in page.all("figure")}
    assert "nan" not in words.lower().split()


# Who can read it


def test_the_page_is_well_formed_and_accessible(either):
    assert either.all("html")[0]["lang"] == "en" and either.all("main") and either.all("nav")
    ids = [a["id"] for _, a in either.elements if "id" in a]
    assert len(set(ids)) == len(ids)
    assert {a["href"][1:] for a in either.all("a")} <= set(ids)
    levels = [int(tag[1]) for tag, _ in either.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))
    assert {a.get("scope") for a in either.all("th")} <= {"col", "row"}


def test_every_figure_has_an_alternative_text_and_a_caption(either):
    figures = either.all("figure")
    drawings = [a for a in either.all("svg") if a.get("role") == "img"]
    assert len(figures) == len(drawings) == len(either.all("figcaption")) > 3
    assert all(len(a["aria-label"]) > 20 for a in drawings)
    assert len({a["aria-label"] for a in drawings}) == len(drawings)


def test_nothing_is_fetched_and_nothing_runs(either, report, bare_report):
    for _, attributes in either.elements:
        for name, value in attributes.items():
            if name in ("src", "href", "xlink:href", "poster", "srcset", "action"):
                assert value.startswith(("#", "data:")), value
            assert not name.startswith("on")
    assert not either.all("script") and not either.all("link") and not either.all("iframe")
    for html in (report.html, bare_report.html):
        assert not re.search(r"url\((?!#)|@import|https?://", html)


def test_names_from_a_corpus_are_escaped(bare_report):
    script = "<script>alert('x')</script> & \"#0f766e\" $x_1$"
    assert "<script" not in bare_report.html.lower()
    assert bare_report.html.count(escape(script)) > 3


def test_a_class_has_one_colour_in_all_figures(report, uneven_corpus):
    colours = class_colours(stats.classes_of(uneven_corpus).names)
    for name in ("classes-by-patients", "classes-by-recordings"):
        svg = re.search(rf'<figure id="{name}".*?</svg>', report.html, re.DOTALL)[0]
        assert list(dict.fromkeys(re.findall(r"var\(--(class-\w+)\)", svg))) == list(colours.values())
    for name in ("ages", "rates", "bandwidths", "levels", "recordings-per-patient"):
        svg = re.search(rf'<figure id="{name}".*?</svg>', report.html, re.DOTALL)[0]
        assert set(re.findall(r"var\(--(class-\w+)\)", svg)) == set(colours.values())


def test_both_schemes_define_every_colour(report):
    used = set(re.findall(r"var\(--([\w-]+)\)", report.html))
    assert used <= set(COLOURS)
    for scheme in ("light", "dark"):
        assert all(f"--{name}: {getattr(COLOURS[name], scheme)};" in report.html for name in used)


# Sound


def test_sound_is_there_only_when_asked_for_and_says_so(bare_report, take_apart):
    page = take_apart(bare_report.html)
    sources = [a["src"] for a in page.all("audio")]
    assert len(sources) == 2
    assert "sound recorded from patients: do not pass it on" in " ".join(text for _, text in page.texts)
    for source in sources:
        with wave.open(io.BytesIO(base64.b64decode(source.removeprefix("data:audio/wav;base64,")))) as wav:
            assert (wav.getframerate(), wav.getnchannels(), wav.getsampwidth()) == (4000, 1, 2)
            assert wav.getnframes() == 8000


def test_a_clip_is_the_beginning_of_the_recording_at_its_loudest(uneven_corpus):
    with wave.open(io.BytesIO(clip_wav(uneven_corpus, 0))) as wav:
        clip = np.frombuffer(wav.readframes(wav.getnframes()), "<i2").astype(float)
        assert wav.getframerate() == 8000 and len(clip) == 8 * 8000
    sound = soxr.resample(uneven_corpus.waveform(0)[: 8 * uneven_corpus.rate_hz], uneven_corpus.rate_hz, 8000)
    assert np.corrcoef(clip, sound)[0, 1] > 0.9999
    assert np.abs(clip).max() == 32000


# Where it is written


@pytest.fixture
def quick(monkeypatch, bare_report):
    """Writing is what these tests are about: the figures are drawn already."""
    monkeypatch.setattr(writing, "explore", lambda corpus, config=None: bare_report)
    return little_corpus(2)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_folder_holds_the_page_and_every_figure(quick, bare_report, tmp_path):
    page = write_report(quick, tmp_path / "out")
    assert page == tmp_path / "out" / "index.html" and page.read_text() == bare_report.html
    files = contents(tmp_path / "out")
    assert {name for name in files if name.endswith(".png")} == {f"figures/{name}.png" for name in bare_report.pngs}
    assert all(data.startswith(b"\x89PNG") for name, data in files.items() if name.endswith(".png"))
    assert set(json.loads(files["report.json"])["files"]) | {"report.json"} == set(files)
    drawn = re.findall(r'<figure id="([^"]+)"', bare_report.html)
    assert set(drawn) == set(bare_report.pngs)
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_a_report_is_replaced_and_an_empty_folder_taken(quick, tmp_path):
    (tmp_path / "out").mkdir()
    write_report(quick, tmp_path / "out")
    (tmp_path / "out" / "figures" / "levels.png").unlink()
    before = contents(tmp_path / "out")
    write_report(quick, tmp_path / "out")
    assert set(contents(tmp_path / "out")) == {*before, "figures/levels.png"}


@pytest.mark.parametrize("name", ["notes.txt", "figures/mine.png", "index.html", "report.json"])
def test_a_folder_with_something_else_in_it_is_left_alone(quick, tmp_path, name):
    folder = tmp_path / "out"
    if name in ("notes.txt", "figures/mine.png"):  # in a report; the others in a folder that is none
        write_report(quick, folder)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text('{"files": ["index.html"]}')
    before = contents(folder)
    with pytest.raises(ExploreError, match=re.escape(name) + r".*--out"):
        write_report(quick, folder)
    assert contents(folder) == before


def test_a_file_in_the_way_and_a_place_that_cannot_be_written(quick, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ExploreError, match="is a file"):
        write_report(quick, tmp_path / "file")
    with pytest.raises(ExploreError, match="cannot be written"):
        write_report(quick, tmp_path / "file" / "below")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_report_that_fails_leaves_the_old_one(quick, tmp_path, monkeypatch):
    write_report(quick, tmp_path / "out")
    before = contents(tmp_path / "out")

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_bytes", full)
        with pytest.raises(ExploreError, match=r"No space left on device.*--out"):
            write_report(quick, tmp_path / "out")
    assert contents(tmp_path / "out") == before
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_the_same_corpus_gives_the_same_page():
    corpus = little_corpus(2)
    one, two = (explore(corpus, ExploreConfig(seed=1)) for _ in range(2))
    assert one.html == two.html and one.pngs == two.pngs


# The command


def call(*words):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as left:
        cli.main([str(word) for word in words])
    return left.value.code or 0, out.getvalue(), err.getvalue()


def test_the_command_writes_beside_the_user_unless_told(quick, tmp_path, monkeypatch):
    monkeypatch.setattr(cli_train, "load", lambda prepared: quick)
    monkeypatch.chdir(tmp_path)
    assert call("explore", tmp_path)[:2] == (0, "explore-little/index.html\n")
    assert (tmp_path / "explore-little" / "index.html").is_file()
    status, out, _ = call("explore", tmp_path, "--out", tmp_path / "a" / "b")
    assert (status, out) == (0, f"{tmp_path}/a/b/index.html\n")


def test_a_folder_that_is_no_prepared_dataset_is_refused_in_a_line(tmp_path):
    status, out, err = call("explore", tmp_path, "--out", tmp_path / "out")
    assert (status, out) == (2, "") and re.search(r"no prepared dataset; .*`?jaxresp (data )?prepare", err)
    assert not (tmp_path / "out").exists()


# Inside another page


@pytest.fixture(scope="module")
def inside(uneven_corpus):
    return overview(uneven_corpus, seed=4)


def test_the_overview_shows_no_single_recording(inside, page, uneven_corpus, take_apart):
    taken_apart = take_apart(inside)
    assert not taken_apart.all("audio")
    named = [name for name in uneven_corpus.recording.tolist() if name in inside]
    assert named == []
    assert set(taken_apart.tables) == set(page.tables) > {"Diagnoses"}
    assert taken_apart.tables == page.tables


def test_the_overview_reaches_nothing_outside_itself(inside, take_apart):
    taken_apart = take_apart(inside)
    assert {"html", "head", "body", "script", "link", "iframe"}.isdisjoint(name for name, _ in taken_apart.elements)
    (first, *_), ids = taken_apart.elements, [a["id"] for _, a in taken_apart.elements if "id" in a]
    assert first == ("div", {"class": "jaxresp-data"})
    assert all("-" in name for name in ids)  # of parts of the figures only: "<figure>-<part>"
    style = "".join(text for where, text in taken_apart.texts if where == "style")
    depth, outside = 0, []
    for piece in re.split(r"([{}])", style):
        depth += {"{": 1, "}": -1}.get(piece, 0)
        outside += [piece.strip()] if depth == 0 and piece.strip() not in ("", "}") else []
    assert depth == 0 and set(outside) == {".jaxresp-data", ".dark .jaxresp-data"}
    assert not re.search(r"(src|href)=\"(?!data:|#)", inside) and "@import" not in inside
