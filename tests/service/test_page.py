"""What the page is made of, without a server: it escapes, it adds up, it can be read, it deletes."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bento.errors import MissingAudio
from bento.live import Live, Moment, Route
from bento.ui import answer, comparison, evidence, live, models, picture, report, style, words
from bento.ui.uploads import Uploads
from jaxresp import audio
from jaxresp.dsp.mel import hz_to_mel, mel_to_hz
from jaxresp.explanation import Explanation
from jaxresp.gate import Gate

BAD = '<script>alert("x")</script>'
RATE_HZ = 8_000


def recording(duration_s: float = 6.0) -> audio.Recording:
    noise = np.random.default_rng(0).normal(size=round(duration_s * RATE_HZ)).astype(np.float32)
    return audio.from_samples(0.1 * noise, RATE_HZ)


def prediction(label: str | None = "b", classes: tuple[str, ...] = ("a", "b"), **changes: object) -> dict:
    p = dict(zip(classes, np.linspace(0.2, 0.8, len(classes)) / np.linspace(0.2, 0.8, len(classes)).sum(), strict=True))
    windows = [{"start_s": s, "end_s": s + 5.0, "probabilities": p} for s in (0.0, 1.0)]
    whole = {
        "label": label,
        "probabilities": p,
        "abstained": label is None,
        "reason": None,
        "windows": windows,
        "audio": recording().facts.to_json(),
        "warnings": [],
        "model": {"name": "binary-mfcc", "version": "1", "task": "binary", "features": "mfcc"},
    }
    return whole | changes


def explanation(of_class: str = "b", n_bands: int = 12) -> Explanation:
    cells = np.zeros((2, 101, n_bands), np.float32)
    cells[0, 50, 2] = 3.0
    low, high = (float(hz_to_mel(hz, "slaney")) for hz in (150.0, 1600.0))
    centres_hz = mel_to_hz(np.linspace(low, high, n_bands), "slaney")
    return Explanation(of_class, np.float32([0, 1]), 5.0, 6.0, cells, centres_hz)


def images(html: str) -> list[Image.Image]:
    return [
        Image.open(io.BytesIO(base64.b64decode(data))) for data in re.findall(r"data:image/png;base64,([^\"]+)", html)
    ]


def test_nothing_from_outside_reaches_the_page_unescaped() -> None:
    said = prediction(
        BAD, (BAD, "b"), warnings=[BAD], model={"name": BAD, "version": BAD, "task": BAD, "features": BAD}
    )
    classes = (BAD, "b")
    html = (
        answer.answer(said, classes)
        + answer.answer(said | {"label": None, "reason": BAD}, classes)
        + answer.failure(MissingAudio(f"{BAD}; {BAD}"))
        + comparison.comparison({BAD: said}, {BAD: classes}, "quick")
        + picture.draw(recording(), said["windows"], classes, explanation(BAD))
        + report.report("", "", said, {BAD: BAD})
    )
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_an_answer_shows_every_class_and_marks_the_one_given() -> None:
    html = answer.answer(prediction(), ("a", "b"))
    assert re.findall(r'aria-valuenow="([\d.]+)"', html) == ["20.0", "80.0"]
    assert html.count("jr-winner") == 1
    assert 'data-say="Answer: b, 80 %."' in html
    withheld = answer.answer(prediction(None, reason="no class is more probable than 0.90"), ("a", "b"))
    assert "jr-winner" not in withheld
    assert "No class is more probable than 0.90." in withheld


def test_an_answer_says_what_cannot_be_ruled_out_and_for_whom_its_probabilities_hold() -> None:
    assert "jr-meaning" not in answer.answer(prediction(), ("a", "b"))
    html = answer.answer(prediction(possible=["a", BAD], prevalence={"a": 0.9, "b": 0.1}), ("a", "b"))
    assert "Cannot be ruled out: <b>a, &lt;script&gt;" in html
    assert "there are 90 % a, 10 % b" in html
    equal = answer.answer(prediction(possible=[], prevalence={"a": 0.5, "b": 0.5}), ("a", "b"))
    assert "every class is equally common" in equal
    assert "<b>none</b>" in equal
    assert "<b>No class</b> can be ruled out" in answer.answer(prediction(possible=["b", "a"]), ("a", "b"))


def test_an_error_shows_its_remedy_apart() -> None:
    html = answer.failure(MissingAudio("there is no recording yet; choose a file"))
    assert "<p>There is no recording yet.</p>" in html
    assert '<p class="jr-remedy">Choose a file.</p>' in html


@pytest.mark.parametrize(
    ("labels", "verdict"),
    [
        ("aaa", "All 3 models say a."),
        ("aab", "2 of 3 models say a."),
        ("abc", "The models disagree."),
        ("a", "One model: a."),
    ],
)
def test_a_comparison_says_how_far_the_models_agree(labels: str, verdict: str) -> None:
    classes = ("a", "b", "c")
    said = {str(i): prediction(label, classes) for i, label in enumerate(labels)}
    html = comparison.comparison(said, dict.fromkeys(said, classes), "0")
    assert f"<h2>{verdict}</h2>" in html
    assert html.count("data-model=") == len(labels)
    for row in re.findall(r'<span class="jr-stack".*?</span>', html):
        assert sum(map(float, re.findall(r"width:([\d.]+)%", row))) == pytest.approx(100, abs=0.1)


def test_a_comparison_says_why_there_is_no_answer() -> None:
    said = {str(i): prediction(None, reason="too quiet" if i else BAD) for i in range(3)}
    html = comparison.comparison(said, dict.fromkeys(said, ("a", "b")), "0")
    assert html.count('<p class="jr-reason">Too quiet.</p>') == 1
    assert html.count("jr-reason") == 2 and BAD not in html
    assert "jr-reason" not in comparison.comparison({"0": prediction()}, {"0": ("a", "b")}, "0")


def test_the_overlay_lies_on_the_spectrograms_own_axes() -> None:
    plain = picture.draw(recording(), prediction()["windows"], ("a", "b"))
    html = picture.draw(recording(), prediction()["windows"], ("a", "b"), explanation())
    assert "jr-overlay" not in plain
    assert "jr-show" not in plain
    _, overlay = images(html)
    alpha = np.asarray(overlay)[..., 3]
    row, column = (np.average(np.arange(n), weights=alpha.sum(axis=1 - i)) for i, n in enumerate(alpha.shape))
    assert (column + 0.5) / alpha.shape[1] * 6.0 == pytest.approx(2.5, abs=0.1)
    assert row == pytest.approx(alpha.shape[0] - 1 - 2, abs=0.1)  # bands lie bottom up
    bottom, height = map(float, re.search(r"bottom:([\d.]+)%;height:([\d.]+)%", html).groups())  # type: ignore[union-attr]
    assert 0 < bottom < bottom + height < 100
    assert "Spoke most for b: 2." in html


def test_a_front_end_without_frequencies_has_a_curve_and_no_overlay() -> None:
    ours = explanation()
    html = picture.draw(recording(), (), (), Explanation("b", ours.start_s, 5.0, 6.0, ours.cells, None))
    assert "jr-overlay" not in html
    assert "jr-spoke" in html


def test_a_report_needs_nothing_else_and_holds_the_whole_answer() -> None:
    whole = {"prediction": prediction()}
    html = report.report(answer.answer(whole["prediction"], ("a", "b")), "", whole, {"binary-mfcc": "1"})
    assert not re.findall(r'(?:src|href)="(?!data:)|@import|url\(', html)
    assert "not a medical device" in html
    links = report.downloads(html, whole)
    contents = [base64.b64decode(data).decode() for data in re.findall(r"base64,([^\"]+)", links)]
    assert contents[0] == html
    assert json.loads(contents[1]) == whole


def test_what_is_read_by_people_leaves_out_what_is_drawn() -> None:
    whole = {"prediction": prediction(), "explanation": explanation().to_json()}
    brief = report.in_brief(whole)
    assert brief["prediction"] == whole["prediction"]
    assert brief["explanation"]["moments"] == whole["explanation"]["moments"]
    assert len(json.dumps(brief)) < 0.3 * len(json.dumps(whole))
    assert report.in_brief({"predictions": {}}) == {"predictions": {}}


def result(**changes: object) -> dict:
    """A row of results.json, as far as the page reads it."""
    metrics = {"balanced_accuracy": 0.7, "macro_f1": 0.6, "macro_roc_auc": None, "macro_pr_auc": 0.65}
    intervals = {name: [0.5, 0.75] for name in metrics} | {"macro_roc_auc": [None, None]}
    row = {
        "name": "binary-mfcc",
        "task": "binary",
        "features": "mfcc",
        "metrics": metrics,
        "intervals": intervals | {"balanced_accuracy": [0.6, 0.8], "macro_pr_auc": [0.41, 0.89]},
        "majority": metrics | {"balanced_accuracy": 0.5},
        "shortcuts": {"age": [0.96, 0.97], "sex": [0.5, 0.5], "mode": [None, None]},
        "patients": {"Normal": 3, "Abnormal": 4},
        "n_patients": 6,
        "corpus": {"name": "icbhi", "version": "2.0.0+partial", "partial": True, "made_up": True},
        "common_band": None,
    }
    return row | changes


def in_common_band() -> dict:
    metrics = {"balanced_accuracy": 0.55, "macro_f1": 0.45, "macro_roc_auc": None, "macro_pr_auc": 0.4375}
    intervals = {name: [0.25, 0.875] for name in metrics} | {"macro_roc_auc": [None, None]}
    less = {name: [-0.15, -0.4, 0.1] for name in metrics} | {"macro_roc_auc": [None, None, None]}
    return {"heard": "common (50–1800 Hz), 40 mel bands", "metrics": metrics, "intervals": intervals, "less": less}


def rows_of(html: str) -> list[list[str]]:
    """The words of every cell of every row."""
    rows = re.findall(r"<tr.*?</tr>", html, re.DOTALL)
    return [[re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row)] for row in rows]


def test_results_stand_beside_what_needs_no_listening() -> None:
    described = [{"name": "binary-mfcc", "quick": True, "task": "binary", "features": "mfcc"}]
    html = models.performance([result()], described)
    assert rows_of(html) == [
        ["Features", "Balanced accuracy", "Macro F1", "ROC-AUC", "PR-AUC"],
        ["MFCC quick", "0.700 [0.60–0.80]", "0.600 [0.50–0.75]", "undefined", "0.650 [0.41–0.89]"],
        ["Always the majority class", "0.500", "0.600", "undefined", "0.650"],
        ["Without listening: “age”", "0.960", "–", "0.970", "–"],
    ]
    for shown in ("6 patients", "icbhi 2.0.0 (made up, partial)", "quick"):
        assert shown in html
    assert "sex" not in html and "common band" not in html
    assert "No results were exported" in models.performance([], described)


def test_a_result_in_the_common_band_stands_under_its_own() -> None:
    html = models.performance([result(common_band=in_common_band())], [])
    row = ["MFCC common band", "0.550 [0.25–0.88]", "0.450 [0.25–0.88]", "undefined", "0.438 [0.25–0.88]"]
    assert rows_of(html)[2] == row
    assert re.findall(r'<b class="(\S+)" style="left:([\d.]+)%"', html) == [("jr-own", "70.0"), ("jr-common", "55.0")]
    assert "50–1800 Hz" in html
    behind = evidence.evidence(result(common_band=in_common_band()), None)
    assert behind.count("<section") == 1
    assert rows_of(behind)[1] == [
        "Balanced accuracy",
        "0.700 [0.60–0.80]",
        "0.550 [0.25–0.88]",
        "−0.150 [−0.40 to +0.10]",
    ]
    assert rows_of(behind)[3] == ["ROC-AUC", "undefined", "undefined", "undefined"]
    assert rows_of(behind)[4][0] == "PR-AUC" and "common (50–1800 Hz)" in behind


def test_an_answer_says_how_good_its_model_is() -> None:
    said = models.reached(result())
    for shown in (
        "6 made-up patients whom it had not heard:",
        "0.700 <small>[0.60–0.80]</small>",
        "0.500",
        "“age” alone, without listening, 0.960",
    ):
        assert shown in said
    assert said in answer.answer(prediction(), ("a", "b"), said)
    real = result(corpus={"name": "icbhi", "version": "2.0.0+partial", "partial": True, "made_up": False}, shortcuts={})
    assert "whom it had not heard, part of icbhi:" in models.reached(real) and "alone" not in models.reached(real)
    unknown = result(metrics=result()["metrics"] | {"balanced_accuracy": None})
    assert "balanced accuracy undefined." in models.reached(unknown)
    assert models.reached(None) == "" and "jr-reached" not in answer.answer(prediction(), ("a", "b"))


def test_what_stands_behind_a_model_is_shown_as_far_as_it_is_known() -> None:
    told = {
        "n_patients": 40,
        "ece": 0.123,
        "brier": 0.345,
        "log_loss": 0.567,
        "curves": [[[0.25, 0.5, 0.5], [0.75, 1.0, 0.5]], [[0.25, 0.0, 0.5], [0.75, 0.5, 0.5]]],
    }
    few = {"n": 3, "n_patients": 2, "recordings": [], "metrics": {}, "intervals": {}}
    many = {
        "n": 50,
        "n_patients": 31,
        "metrics": {"balanced_accuracy": 0.612, "macro_f1": 0.5, "macro_roc_auc": None, "macro_pr_auc": 0.5},
        "intervals": {name: [0.4, 0.8] for name in words.HEADLINES} | {"macro_roc_auc": [None, None]},
    }
    row = {
        "classes": [BAD, "b"],
        "reliability": {"uncalibrated": told | {"ece": 0.234}, "calibrated": told},
        "subgroups": {"sex": {"F": many, BAD: few}},
        "gate": {"refused": 0.05},
        "unit": "recording",
    }
    gate = Gate(110, 2.5, -49.4, 581.2, (0.0,), ((1.0,),), 10.45)
    html = evidence.evidence(row, gate)
    assert BAD not in html and html.count("&lt;script&gt;") == 2
    for shown in (
        "0.234",
        "0.123",
        "40 patients",
        "sex: F",
        "0.612",
        "[0.40–0.80]",
        "2.5 s",
        "−49.4 dBFS",
        "581 Hz",
    ):
        assert shown in html
    for shown in ("110 training patients", "5.0 %", "Distance from training over</dt><dd>10.4"):
        assert shown in html
    assert re.findall(r'points="([^"]+)"', html)[0] == "25.0,50.0 75.0,0.0", "up is more frequent"
    suppressed = html[html.index("sex: &lt;") :].partition("</tr>")[0]
    assert re.findall(r"<td[^>]*>(?:<small>)?([^<]*)", suppressed) == ["2", "3", "too few patients"]
    assert evidence.evidence(None, None) == ""
    only = evidence.evidence(None, gate)
    assert only.count("<section") == 1 and "refused" not in only


def test_the_numbers_of_the_service_are_shown_also_when_there_are_none() -> None:
    none = Live(
        True, 3.0, 0.0, 0, 0.0, None, None, None, None, (), {}, {}, {}, 0, 0, 0.0, 0, 0, 0.0, ()
    )  # fmt: skip
    assert live.numbers(none).count("None so far.") == 4
    routes = (Route("/v1/classify", {"200": 9, "503": 1}, 0.5, 0.012, 1.5, None),)
    busy = Live(
        True, 7300.0, 60.0, 10, 0.5, 0.1, 0.012, 1.5, None, routes, {"binary-mfcc": {"Normal": 4}}, {}, {BAD: 2}, 1, 2,
        99.0, 18, 2**29, 0.4, (Moment(5.0, 2.0, 0.5), Moment(0.0, 4.0, 0.0)),
    )  # fmt: skip
    html = live.numbers(busy)
    for shown in ("12 ms", "1.5 s", "10.0 %", "2 h 1 min", "512 MiB", "503", "jr-failed", "Ready"):
        assert shown in html
    assert "<script" not in html


def test_shares_never_round_to_certainty() -> None:
    shown = [words.percent(share) for share in (0.0, 1e-5, 0.0004, 0.5, 0.9996, 0.99999, 1.0)]
    assert shown == ["0.0 %", "< 0.1 %", "< 0.1 %", "50.0 %", "> 99.9 %", "> 99.9 %", "100.0 %"]


def test_text_can_be_read_in_both_schemes() -> None:
    """WCAG 2.1: 4.5 to 1 for text, 3 to 1 for what is drawn or bounds a control."""

    def luminance(colour: str) -> float:
        rgb = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    grounds = ("ground", "surface", "soft")
    pairs = [(ink, ground, 4.5) for ink in ("text", "muted", "accent") for ground in grounds]
    pairs += [
        ("warn", "warn-soft", 4.5),
        ("bad", "bad-soft", 4.5),
        ("bad", "surface", 4.5),
        ("on-accent", "accent", 4.5),
    ]
    pairs += [
        (drawn, ground, 3.0) for drawn in ("edge", "class-0", "class-1", "class-2", "spoke") for ground in grounds
    ]
    for scheme in ("light", "dark"):
        for ink, ground, least in pairs:
            high, low = sorted(
                (luminance(getattr(style.COLOURS[name], scheme)) for name in (ink, ground)), reverse=True
            )
            assert (high + 0.05) / (low + 0.05) >= least, f"{ink} on {ground}, {scheme}"


def test_an_upload_lives_until_its_visitor_takes_another_or_leaves(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path / "uploads")
    made_up = tmp_path / "wheezes.wav"
    files = [uploads.folder / f"{i}.wav" for i in range(4)]
    for path in (made_up, *files):
        path.write_bytes(b"sound")
    uploads.chosen(str(files[0]), "one")
    uploads.chosen(str(files[1]), "two")
    uploads.chosen(str(files[0]), "one")
    assert files[0].exists()
    uploads.chosen(str(files[2]), "one")
    assert [path.exists() for path in files] == [False, True, True, True]
    uploads.chosen(str(made_up), "one")
    uploads.chosen(None, "one")
    assert made_up.exists()
    assert not files[2].exists()
    uploads.left("two")
    uploads.left("nobody")
    uploads.left(None)
    assert [path.exists() for path in files] == [False, False, False, True]
