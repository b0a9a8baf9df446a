"""What stands behind one model, above its card: does it hold in the common band, do its probabilities mean what they
say, for whom, and what it refuses.

Drawn from its row of the run's results.json and from its quality gate. Nothing is said where a run has left nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from bento.ui.words import HEADLINES, difference, headline, headline_cells, headline_columns, number, percent
from jaxresp.gate import Gate

_WORDS = {"uncalibrated": "Before calibration", "calibrated": "As answered"}
#: The ends of both axes.
_ENDS = (
    '<text x="0" y="107">0</text><text x="100" y="107" text-anchor="end">1</text>'
    '<text x="-2" y="100" text-anchor="end">0</text><text x="-2" y="5" text-anchor="end">1</text>'
)
_DOT = 9.0  # radius, in hundredths of the square, of a dot that holds all patients


def evidence(row: Mapping[str, Any] | None, gate: Gate | None) -> str:
    """Up to four cards: common band, reliability, groups, limits.

    Args:
        row: the model's row of results.json, if a run left one.
        gate: its quality gate, if it has one.
    """
    row = row or {}
    cards = [
        _common_band(row),
        _reliability(row.get("reliability") or {}, row.get("classes") or ()),
        _groups(row.get("subgroups") or {}, row.get("unit", "recording")),
        "" if gate is None else _limits(gate, (row.get("gate") or {}).get("refused"), row.get("unit", "recording")),
    ]
    return "".join(f'<section class="jr-card jr-results">{card}</section>' for card in cards if card)


def _common_band(row: Mapping[str, Any]) -> str:
    """The same networks, hearing only what every stethoscope records, against the band they were made for."""
    told = row.get("common_band")
    if told is None:
        return ""
    rows = "".join(
        f"<tr><th scope='row'>{words}</th><td>{headline(row, name)}</td><td>{headline(told, name)}</td>"
        f"<td>{difference(told['less'][name])}</td></tr>"
        for name, words in HEADLINES.items()
    )
    heads = "".join(f"<th scope='col'>{words}</th>" for words in ("", "Its own band", "Common band", "Difference"))
    return (
        f'<p class="jr-by">The same {row["n_patients"]} patients, and what every stethoscope records</p>'
        "<h2>Does it hold in the common band?</h2>"
        + _table("Its own band and the common band", heads, rows)
        + f'<p class="jr-note">Heard in the common band: {escape(told["heard"])}. An interval of the difference that '
        "holds 0 tells the two apart from nothing. The model that answers here hears its own band.</p>"
    )


def _reliability(told: Mapping[str, Any], classes: Sequence[str]) -> str:
    if not told:
        return ""
    panels = "".join(_panel(_WORDS.get(name, name), each["curves"]) for name, each in told.items())
    key = "".join(
        f'<span><i style="background:var(--jr-class-{i})"></i>{escape(name)}</span>' for i, name in enumerate(classes)
    )
    measures = {"Calibration error": "ece", "Brier score": "brier", "Log loss": "log_loss"}
    head = "".join(f"<th scope='col'>{escape(_WORDS.get(name, name))}</th>" for name in told)
    rows = "".join(
        f"<tr><th scope='row'>{words}</th>{''.join(f'<td>{number(each[name])}</td>' for each in told.values())}</tr>"
        for words, name in measures.items()
    )
    n = max(each["n_patients"] for each in told.values())
    return (
        f'<p class="jr-by">{n} patients that the calibration had not seen</p>'
        "<h2>Do its probabilities mean what they say?</h2>"
        f'<div class="jr-reliability" aria-hidden="true">{panels}</div><p class="jr-key" aria-hidden="true">{key}</p>'
        + _table("Reliability", f"<th scope='col'>Lower is better</th>{head}", rows)
        + '<p class="jr-note">A dot on the diagonal: of those told such a probability, as many had the class. Its size '
        "is its share of the patients, who all weigh the same.</p>"
    )


def _panel(title: str, curves: Sequence[Sequence[Sequence[float]]]) -> str:
    """Frequency seen against probability said, from 0 to 1, a line for each class."""
    lines = []
    for i, curve in enumerate(curves):
        points = " ".join(f"{100 * said:.1f},{100 - 100 * seen:.1f}" for said, seen, _ in curve)
        dots = "".join(
            f'<circle cx="{100 * said:.1f}" cy="{100 - 100 * seen:.1f}" r="{_DOT * share**0.5:.1f}"/>'
            for said, seen, share in curve
        )
        lines.append(f'<g style="--jr-line-of:var(--jr-class-{i})"><polyline points="{points}"/>{dots}</g>')
    return (
        f'<figure><svg viewBox="-6 -4 110 112"><rect width="100" height="100"/><path d="M0 100 100 0"/>'
        f"{_ENDS}{''.join(lines)}</svg><figcaption>{escape(title)}: frequency seen, by probability said</figcaption>"
        "</figure>"
    )


def _groups(groups: Mapping[str, Mapping[str, Any]], unit: str) -> str:
    rows = "".join(_group(column, name, each) for column, some in groups.items() for name, each in some.items())
    if not rows:
        return ""
    counts = "".join(f"<th scope='col'>{words}</th>" for words in ("Group", "Patients", f"{unit.capitalize()}s"))
    return (
        "<h2>For whom do the numbers hold?</h2>"
        + _table("Results by group", counts + headline_columns(), rows)
        + '<p class="jr-note">In brackets: 95 % intervals over patients. Of fewer than five patients nothing but their '
        "number is told. The numbers of a group are of the classes that it has.</p>"
    )


def _group(column: str, name: str, of: Mapping[str, Any]) -> str:
    cells = (
        headline_cells(of) if of["metrics"] else f'<td colspan="{len(HEADLINES)}"><small>too few patients</small></td>'
    )
    counts = f"<td>{of['n_patients']}</td><td>{of['n']}</td>"
    return f"<tr><th scope='row'>{escape(column)}: {escape(str(name))}</th>{counts}{cells}</tr>"


def _limits(gate: Gate, refused: float | None, unit: str) -> str:
    limits = {
        "Shorter than": f"{gate.min_duration_s:g} s",
        "Quieter than": f"{gate.min_rms_dbfs:g} dBFS".replace("-", "−"),
        "Nothing heard above": f"{gate.min_bandwidth_hz:.0f} Hz",
        "Clipped samples over": percent(gate.max_clipped_fraction, 0),
    }
    if gate.max_distance is not None:
        limits["Distance from training over"] = f"{gate.max_distance:.1f}"
    tiles = "".join(f"<div><dt>{words}</dt><dd>{value}</dd></div>" for words, value in limits.items())
    seen = "" if refused is None else f" Of the {escape(unit)}s of the test it refused {percent(refused)}."
    return (
        f'<p class="jr-by">Set by recordings of {gate.n_patients} training patients</p>'
        f'<h2>Which sounds get no label?</h2><dl class="jr-tiles">{tiles}</dl>'
        f'<p class="jr-note">Their probabilities are shown all the same.{seen}</p>'
    )


def _table(caption: str, head: str, rows: str) -> str:
    return (
        f'<div class="jr-scroll" tabindex="0" role="region" aria-label="{caption}"><table>'
        f"<caption class='jr-hidden'>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
        "</table></div>"
    )
