"""Colours can be told apart by everybody in both schemes, and a figure comes into the page unharmed."""

from __future__ import annotations

import itertools
import re
import threading

import numpy as np
import pytest

from jaxresp.explore.figures import kind_colour
from jaxresp.explore.statistics import KINDS
from jaxresp.pages.style import COLOURS, NOT_GIVEN, class_colours, drawing, light, png_of, svg_of
from jaxresp.taxonomy import DIAGNOSES

#: Linear RGB as seen by normal eyes and with complete dichromacy (Machado, Oliveira & Fernandes, IEEE TVCG 15, 2009).
VISIONS = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def linear(colour: str) -> np.ndarray:
    c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ np.clip(rgb, 0, 1) / [0.9505, 1, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(a: str, b: str) -> float:
    """WCAG 2."""
    low, high = sorted(float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (a, b))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_of_classes_and_kinds_differ_to_every_eye(scheme, vision):
    for family, least in (("class-", 8), ("kind-", 25)):  # CIE 1976 ΔE; 2.3 is just noticeable side by side
        seen = {
            name: lab(np.array(VISIONS[vision]) @ linear(getattr(colour, scheme)))
            for name, colour in COLOURS.items()
            if name.startswith(family)
        }
        for a, b in itertools.combinations(seen, 2):
            assert np.linalg.norm(seen[a] - seen[b]) > least, (a, b)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_read(scheme):
    of = {name: getattr(colour, scheme) for name, colour in COLOURS.items()}
    assert all(contrast(of[name], of["paper"]) >= 4.5 for name in ("ink", "muted", "accent"))
    assert contrast(of["on-accent"], of["accent"]) >= 4.5
    assert all(contrast(of["on-accent"], of[kind_colour(k)]) >= 2.5 for k in range(len(KINDS)))


def test_no_two_variables_are_drawn_alike():
    assert len({colour.light for colour in COLOURS.values()}) == len(COLOURS)


def test_a_diagnosis_keeps_its_colour_whatever_stands_beside_it():
    alone = {name: class_colours([name])[name] for name in DIAGNOSES}
    assert len(set(alone.values())) == len(DIAGNOSES)
    mixed = class_colours(["Gout", *reversed(DIAGNOSES), NOT_GIVEN])
    assert {name: mixed[name] for name in DIAGNOSES} == alone
    assert mixed["Gout"] not in alone.values() and mixed[NOT_GIVEN] == "class-none"


def test_any_number_of_classes_gets_colours():
    names = [f"class {i}" for i in range(40)]
    colours = class_colours(names)
    assert set(colours) == set(names) and set(colours.values()) <= set(COLOURS)
    assert len(set(list(colours.values())[:9])) == 9


NASTY = ["<script>alert(1)</script>", "-->", "#0f766e", "$x_1$", "a & b", 'id="x" url(#y)', "font: 10px x", "1.23456"]


@pytest.fixture(scope="module")
def figure():
    from matplotlib.figure import Figure

    with drawing():
        drawn = Figure(figsize=(3, 4))
        axes = drawn.subplots()
        axes.barh(range(len(NASTY)), range(len(NASTY)), color=light("accent"))
        axes.set_yticks(range(len(NASTY)), NASTY)
        axes.imshow(np.arange(16.0).reshape(4, 4), extent=(0, 7, 0, 7))
        axes.scatter([1, 2], [1, 2], color=light("class-4"))
    return drawn


def test_words_in_a_figure_stay_as_they_are(figure):
    from html import unescape

    svg = svg_of(figure, "it", 'an "alt" <text>')
    words = [unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]
    assert [word for word in words if word in NASTY] == NASTY
    assert svg.count("<script") == 0
    assert 'role="img" aria-label="an &quot;alt&quot; &lt;text&gt;"' in svg


def test_a_figure_has_no_colour_of_one_scheme_only(figure):
    tags = "".join(re.findall(r"<[^>]*>", svg_of(figure, "it", "")))
    assert not re.search(r"#[0-9a-f]{6}\b", tags)
    assert "var(--accent)" in tags and "var(--class-4)" in tags


def test_ids_are_the_figure_s_own_and_point_to_something(figure):
    one, two = (svg_of(figure, name, "") for name in ("one", "two"))
    ids = re.findall(r' id="([^"]+)"', "".join(re.findall(r"<[^>]*>", one + two)))
    assert ids and len(set(ids)) == len(ids)
    linked = re.findall(r'(?:url\(#|href="#)([\w-]+)', "".join(re.findall(r"<[^>]*>", one + two)))
    assert set(linked) == set(ids)


def test_the_same_figure_is_the_same_text_and_leaves_no_setting_behind(figure):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    assert svg_of(figure, "it", "") == svg_of(figure, "it", "")
    assert png_of(figure) == png_of(figure)
    assert dict(mpl.rcParams) == before


def test_two_threads_draw_one_after_the_other():
    import matplotlib as mpl

    before, begun, entered, during = dict(mpl.rcParams), threading.Event(), threading.Event(), []

    def other():
        begun.set()
        with drawing():
            entered.set()
            during.append(mpl.rcParams["svg.fonttype"])

    thread = threading.Thread(target=other)
    with drawing():
        thread.start()
        assert begun.wait(10)
        assert not entered.wait(0.2)
        during.append(mpl.rcParams["svg.fonttype"])
    thread.join(10)
    assert during == ["none", "none"]
    assert dict(mpl.rcParams) == before
