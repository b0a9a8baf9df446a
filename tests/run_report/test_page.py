"""The report of a run says what its files say, is whole by itself, and can be read by everybody."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from jaxresp import cli
from jaxresp.errors import JaxrespError
from jaxresp.evaluate import tables
from jaxresp.evaluate.answers import Answers
from jaxresp.evaluate.bands import InBand
from jaxresp.evaluate.bootstrap import HEADLINES, Difference, Interval, headline_intervals
from jaxresp.evaluate.comparing import compare
from jaxresp.evaluate.levels import Level
from jaxresp.evaluate.metrics import classification_metrics
from jaxresp.evaluate.probing import Probe
from jaxresp.evaluate.reliability import reliability
from jaxresp.evaluate.result import Result
from jaxresp.evaluate.selective import selective
from jaxresp.evaluate.shortcuts import Shortcut
from jaxresp.evaluate.sides import Side
from jaxresp.evaluate.subgroups import Subgroup, subgroups
from jaxresp.pages.style import COLOURS, drawing
from jaxresp.prediction import NOTICE
from jaxresp.run_report import FinishedRun, figures, html_report, load_finished, write_html

N = 40
LABELS = np.arange(N) % 2
PATIENTS = np.array([f"P{i // 2:02}" for i in range(N)])
CLASSES = ("Normal", "Ab<b>normal")
EVIL = "<script>alert(1)</script>"


def answers(seed: int) -> Answers:
    drawn = np.clip(0.5 + (LABELS - 0.5) * 0.4 + np.random.default_rng(seed).normal(0, 0.25, N), 0.01, 0.99)
    names = np.array([f"SECRET{i:02}" for i in range(N)])
    return Answers(names, PATIENTS, LABELS, np.stack([1 - drawn, drawn], 1), CLASSES)


def result(name: str, of: Answers, **changes: object) -> Result:
    asked = (of.labels, of.probabilities, of.patients)
    told = classification_metrics(*asked[:2])
    intervals = headline_intervals(*asked)
    sure = of.probabilities.max(1) > 0.6
    made = Result(
        name=name,
        task="binary",
        features=name.split("-")[1],
        classes=CLASSES,
        metrics=told,
        intervals=intervals,
        majority=classification_metrics(of.labels, np.tile([0.4, 0.6], (N, 1))),
        shortcuts={"age": Shortcut(0.9375, 0.97), "sex": Shortcut(0.5, 0.5)},
        patients={CLASSES[0]: 20, CLASSES[1]: 20},
        n_patients=20,
        recordings={CLASSES[0]: 20, CLASSES[1]: 20},
        settings={"network": "cnn2d", "filters": 16, "dense": 128, "epochs": 9},
        validation_loss=0.5,
        corpus={"name": "icbhi", "version": "1.0.0", "partial": True, "made_up": False, "fingerprint": "f" * 64},
        split={
            "name": "folds", "kind": "patient_disjoint", "folds": 1, "overlap": [], "left_out": [],
            "evidence": "Numbers are out-of-fold.", "sentences": [EVIL],
        },
        levels={"window": Level(replace(told, n=99), intervals)},
        scores={"ICBHI Score": 0.625},
        alarm={"specificity": 0.75},
        beyond={"age": {each: Difference(-0.25, -0.5, 0.0) for each in HEADLINES}},
        subgroups=subgroups({"sex": np.where(np.arange(N) < 30, "F", "M"),
                             "stethoscope": np.where(np.arange(N) < 4, "Rare", "Meditron")}, *asked),
        reliability={"uncalibrated": reliability(*asked), "calibrated": reliability(*asked)},
        selective=selective(*asked, sure, of.probabilities > 0.3, (0.9, None)),
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def finished(**changes: object) -> FinishedRun:
    given = {"binary-mfcc": answers(0), "binary-logmel": answers(1)}
    proof = [{"fold": 0, "side": side, "patients": 5, "recordings": 10, "shared patients": 0}
             for side in ("train", "test")]  # fmt: skip
    made_with = {"code": "ab" * 20 + "-dirty", "configuration_sha256": "c" * 64, "training_patients": ["P99"]}
    return FinishedRun(
        tuple(result(name, each, **changes) for name, each in given.items()),
        (compare("binary", given),),
        given,
        dict.fromkeys(given, proof),
        {name: made_with for name in given},
    )


@pytest.fixture(scope="module")
def run() -> FinishedRun:
    return finished()


@pytest.fixture(scope="module")
def html(run) -> str:
    return html_report(run)


@pytest.fixture(scope="module")
def page(html, take_apart):
    return take_apart(html)


def test_every_model_stands_with_its_interval_and_the_majority(page, run):
    head, *rows = page.tables["Models"]
    assert tuple(head) == tables.COLUMNS
    assert [tuple(row) for row in rows] == tables.rows(run.results)


def test_each_model_has_its_tables(page, run):
    for each in run.results:
        for title, table in (
            (each.name, tables.by_class(each.classes, each.metrics)),
            (f"{each.name} by level", tables.by_level(each)),
            (f"{each.name} by group", tables.by_subgroup(each)),
            (f"{each.name}: do probabilities mean what they say?", tables.by_calibration(each)),
        ):
            assert [tuple(row) for row in page.tables[title]] == [table.head, *table.rows]


def test_small_groups_are_suppressed(page, run):
    (rare,) = (row for row in page.tables["binary-mfcc by group"] if row[0] == "stethoscope: Rare")
    assert rare[1:] == ["4", "2", *["suppressed"] * 5]
    assert isinstance(run.results[0].subgroups["stethoscope"]["Rare"], Subgroup)


def test_coverage_promised_stands_beside_coverage_seen(page, run):
    held = run.answers["binary-mfcc"].probabilities[LABELS == 0, 0] > 0.3
    _, first, second = page.tables["binary-mfcc: sets of classes not ruled out"]
    assert first == ["Normal", "at least 90%", f"{held.mean():.0%}"]
    assert second[1] == "nothing (too few patients)"


def test_models_are_compared_and_held_against_metadata(page):
    assert [row[0] for row in page.tables["binary: less binary-mfcc"]] == ["model", "binary-logmel"]
    beyond = page.tables["binary: each model less “age” alone, on the same patients"]
    assert beyond[1] == ["binary-mfcc", *["-0.250 [-0.50 to +0.00]"] * 4]
    assert page.tables["binary, without listening"][1] == ["age", "0.938", "0.970"]


def test_the_beginning_says_what_beats_the_models(page):
    said = " ".join(text for where, text in page.texts if where == "li")
    assert "“age” alone reaches 0.938" in said and "not better than “age” alone: binary-mfcc, binary-logmel" in said


def test_split_limits_and_provenance_are_there(page, html):
    assert page.tables["binary: who is on which side of split folds"][2] == ["fold 1", "test", "5", "10", "0"]
    assert page.tables["Provenance"][1] == ["binary-mfcc", "abababababab-dirty", "cccccccccccc", "unknown", "unknown"]
    assert "Numbers are out-of-fold." in html and "This is a subset of icbhi" in html
    assert html.count(NOTICE) >= 2


def test_no_single_recording_and_no_patient_is_named(html):
    assert "SECRET" not in html and not re.search(r"\bP\d\d\b", html)


def test_names_are_escaped_and_nothing_is_fetched(html, page):
    assert EVIL not in html and "<script" not in html and "Ab<b>normal" not in html
    assert not re.search(r"url\((?!#)|@import|https?://", html)
    for _, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes)
        assert attributes.get("href", "#").startswith("#") and "src" not in attributes
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in page.all("a")} <= set(ids)
    assert set(re.findall(r"var\(--([\w-]+)\)", html)) <= set(COLOURS)


def test_every_figure_says_what_it_shows(page):
    drawings = [a for a in page.all("svg") if a.get("role") == "img"]
    assert len(drawings) == len(page.all("figure")) == 1 + 4 * 2
    assert all(len(a["aria-label"]) > 20 for a in drawings)


def test_curves_are_of_the_answers():
    """The areas under what is drawn are the ROC-AUC and the PR-AUC; a class that nobody has is no curve."""
    of = answers(3)
    with drawing():
        roc, precision_recall = figures.operating_curves(of).axes
        one_class = figures.operating_curves(replace(of, labels=np.ones(N, int)))
    curves = [line.get_xydata() for line in roc.lines[1:]]
    areas = [float(np.trapezoid(xy[:, 1], xy[:, 0])) for xy in curves]
    np.testing.assert_allclose(areas, classification_metrics(of.labels, of.probabilities).roc_auc, atol=1e-9)
    steps = [line.get_xydata() for line in precision_recall.lines]
    areas = [float(np.diff(xy[:, 0]) @ xy[1:, 1]) for xy in steps]
    np.testing.assert_allclose(areas, classification_metrics(of.labels, of.probabilities).pr_auc, atol=1e-9)
    assert [len(axes.lines) for axes in one_class.axes] == [1, 0]


def test_a_confusion_matrix_shows_every_count_true_classes_down(run):
    with drawing():
        (axes,) = figures.confusion(run.results[0]).axes
    shown = {text.get_position()[::-1]: text.get_text().replace("·", "0") for text in axes.texts}
    assert shown == {(i, j): str(n) for (i, j), n in np.ndenumerate(np.array(run.results[0].metrics.confusion))}
    assert [t.get_text() for t in axes.get_yticklabels()] == list(CLASSES)
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("true", "answered")


def in_common_band(of: Result) -> InBand:
    """Two hundredths worse than its own band."""
    metrics = replace(of.metrics, **{each: getattr(of.metrics, each) - 0.02 for each in HEADLINES})
    return InBand(
        "common (50–1800 Hz)", metrics, of.intervals, {each: Difference(-0.02, -0.5, 0.25) for each in HEADLINES}
    )


def test_the_common_band_stands_beside_each_models_own(take_apart):
    made = finished()
    results = tuple(replace(each, common_band=in_common_band(each)) for each in made.results)
    page = take_apart(html_report(replace(made, results=results)))
    first = results[0]
    head, *rows = page.tables["binary-mfcc in the common band"]
    assert [tuple(row) for row in (head, *rows)] == [
        tables.by_band(first, first.common_band).head,
        *tables.by_band(first, first.common_band).rows,
    ]
    assert rows[3][0] == "PR-AUC" and rows[3][3] == "-0.020 [-0.50 to +0.25]"
    said = " ".join(text for where, text in page.texts if where in ("p", "li"))
    assert "The common band, 50–1800 Hz, is what every stethoscope records" in said
    chosen = min(results, key=lambda each: (each.validation_loss, each.name))
    assert f"in the common band its balanced accuracy is {chosen.common_band.metrics.balanced_accuracy:.3f}" in said
    assert f"a PR-AUC of {chosen.metrics.macro_pr_auc:.3f} [" in said


def test_headlines_are_drawn_where_they_are(run):
    """Every model's dot, and under it the one in the common band; what metadata reaches, where it is known."""
    results = [replace(run.results[0], common_band=in_common_band(run.results[0])), run.results[1]]
    with drawing():
        panels = figures.headline(results).axes
    for axes, name in zip(panels, ("balanced_accuracy", "macro_roc_auc", "macro_pr_auc"), strict=True):
        dots = [tuple(float(x) for x in line.get_xydata()[0]) for line in axes.lines if line.get_marker() == "o"]
        own = [getattr(each.metrics, name) for each in results]
        assert [at for at, _ in sorted(dots, key=lambda dot: dot[1])] == pytest.approx([own[0], own[0] - 0.02, own[1]])
        (best,) = (line.get_xdata() for line in axes.lines if line.get_marker() == "|")
        reached = {"balanced_accuracy": 0.9375, "macro_roc_auc": 0.97}.get(name, np.nan)
        np.testing.assert_array_equal(best, [reached] * 2)


def test_risk_and_reliability_are_drawn_as_measured(run):
    first = run.results[0]
    with drawing():
        (risk,) = figures.risk_coverage(first.selective.curve).axes
        before, after = figures.reliability(first).axes
    np.testing.assert_allclose(risk.lines[0].get_xydata(), first.selective.curve)
    for axes, name in ((before, "uncalibrated"), (after, "calibrated")):
        assert name in axes.get_xlabel()
        for line, points in zip(axes.lines[1:], first.reliability[name].curves, strict=True):
            np.testing.assert_allclose(line.get_xydata(), np.array(points)[:, :2])


def test_what_a_run_lacks_is_left_out(take_apart):
    bare = finished(
        shortcuts={}, beyond={}, levels={}, subgroups={}, reliability={}, selective=None, scores={}, alarm={}
    )
    page = take_apart(html_report(replace(bare, comparisons=())))
    assert "Models compared" not in {text for where, text in page.texts if where == "h2"}
    assert not any("by group" in title or "by level" in title for title in page.tables)


def test_sides_scores_and_the_probe_are_shown(take_apart):
    of = answers(0)
    plain = result("binary-mfcc", of)
    side = Side(plain.metrics, plain.intervals, {"SPRSound Score": 0.25}, {"SPRSound Score": Interval(0.1, 0.4)}, 7, 0)
    probe = Probe(("A", "B"), 30, 12, {"it": 0.625}, {"it": Interval(0.5, 0.75)})
    changed = finished(
        sides={"inter_test": side, "intra_test": replace(side, n_trained_on=7)},
        scores={"SPRSound Score": 0.5},
        score_intervals={"SPRSound Score": Interval(0.25, 0.75)},
        probe=probe,
    )
    page = take_apart(html_report(changed))
    assert page.tables["binary-mfcc by test side"][1][::7] == ["inter_test", "0.250 [0.10–0.40]"]
    said = " ".join(text for where, text in page.texts if where == "p")
    for words in ("SPRSound Score 0.500 [0.25–0.75]", "Only inter_test is of patients nobody trained on",
                  "A / B", "it 0.625 [0.50–0.75]; chance 0.500", "30 recordings of 12 patients"):  # fmt: skip
        assert words in said


def on_disk(run: FinishedRun, work) -> None:
    table = {
        "results": [each.to_json() for each in run.results],
        "compared": [each.to_json() for each in run.comparisons],
    }
    for name, of in run.answers.items():
        folder = work / "models" / name
        folder.mkdir(parents=True)
        (work / "classifiers" / name).mkdir(parents=True)
        (work / "classifiers" / name / "provenance.json").write_text(json.dumps(run.provenance[name]))
        (folder / "folds.json").write_text(json.dumps(run.proofs[name]))
        rows = zip(of.recordings, of.patients, of.labels, of.probabilities.tolist(), strict=True)
        lines = [f"{r},{p},0,{CLASSES[c]},{a!r},{b!r}" for r, p, c, (a, b) in rows]
        head = "recording,patient,fold,class," + ",".join(f"p({c})" for c in CLASSES)
        (folder / "out_of_fold.csv").write_text("\n".join([head, *lines, ""]))
    (work / "results.json").write_text(json.dumps(table))


def test_the_page_is_written_again_from_the_work_folder(run, html, tmp_path, capsys):
    on_disk(run, tmp_path)
    assert load_finished(tmp_path).results == run.results
    with pytest.raises(SystemExit) as ended:
        cli.main(["evaluate", str(tmp_path), "--html", str(tmp_path / "again.html")])
    assert ended.value.code == 0
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == html
    assert "again.html" in capsys.readouterr().out


@pytest.mark.parametrize("gone", ["models/binary-mfcc/out_of_fold.csv", "models/binary-mfcc/folds.json",
                                  "classifiers/binary-mfcc/provenance.json", "results.json"])  # fmt: skip
def test_a_file_that_is_gone_or_damaged_is_named(run, tmp_path, gone):
    on_disk(run, tmp_path)
    (tmp_path / gone).write_text("{")
    with pytest.raises(JaxrespError, match=gone.rpartition("/")[2]):
        write_html(tmp_path, tmp_path / "page.html")
    (tmp_path / gone).unlink()
    with pytest.raises(JaxrespError, match=gone.rpartition("/")[2]):
        write_html(tmp_path, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
