"""An answer, an error, and the empty state, as HTML for the page. Everything that is not ours is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from jaxresp.errors import JaxrespError

FEATURE_NAMES = {"mfcc": "MFCC", "logmel": "Log-mel", "augmented": "Augmented MFCC"}
TASK_NAMES = {"binary": "Normal or abnormal", "multiclass": "Normal, chronic or infection"}


def waiting() -> str:
    """Before the first answer."""
    return (
        '<section class="jr-card jr-empty"><p><strong>The answer appears here.</strong></p>'
        "<p>Choose a recording of breath sounds, or one of the made-up ones, and press Classify.</p></section>"
    )


def failure(error: JaxrespError) -> str:
    """What was wrong and what to do, where the answer would have been."""
    message = str(error)
    what, _, remedy = message.partition("; ")
    more = f"<p>{escape(remedy[:1].upper() + remedy[1:])}.</p>" if remedy else ""
    return (
        '<section class="jr-card jr-error" role="alert"><h2>No answer</h2>'
        f"<p>{escape(what[:1].upper() + what[1:])}.</p>{more}</section>"
    )


def answer(prediction: Mapping[str, Any], classes: Sequence[str]) -> str:
    """The label, every class with its probability, warnings, and facts about the sound."""
    return (
        f'<section class="jr-card" role="status">{_headline(prediction)}{_bars(prediction, classes)}'
        f"{_warnings(prediction['warnings'])}{_facts(prediction)}</section>"
    )


def _headline(prediction: Mapping[str, Any]) -> str:
    model = prediction["model"]
    by = f"{TASK_NAMES.get(model['task'], model['task'])} · {FEATURE_NAMES.get(model['features'], model['features'])}"
    label = prediction["label"]
    if label is None:
        reason = escape(str(prediction["reason"] or "the model is not sure enough"))
        return f'<p class="jr-by">{escape(by)}</p><h2>No answer</h2><p>{reason[:1].upper() + reason[1:]}</p>'
    return f'<p class="jr-by">{escape(by)}</p><h2>{escape(label)}</h2>'


def _bars(prediction: Mapping[str, Any], classes: Sequence[str]) -> str:
    rows = []
    for k, name in enumerate(classes):
        p = prediction["probabilities"][name]
        winner = " jr-winner" if name == prediction["label"] else ""
        rows.append(
            f'<div class="jr-bar{winner}"><span>{escape(name)}</span><span class="jr-track" role="meter" '
            f'aria-label="{escape(name)}" aria-valuemin="0" aria-valuemax="100" aria-valuenow="{100 * p:.1f}">'
            f'<i style="width:{100 * p:.1f}%;background:var(--jr-class-{k})"></i></span>'
            f"<span>{100 * p:.1f} %</span></div>"
        )
    return f'<div class="jr-bars">{"".join(rows)}</div>'


def _warnings(warnings: Sequence[str]) -> str:
    if not warnings:
        return ""
    return f'<ul class="jr-warnings">{"".join(f"<li>{escape(warning)}</li>" for warning in warnings)}</ul>'


def _facts(prediction: Mapping[str, Any]) -> str:
    audio = prediction["audio"]
    channels = {1: "mono", 2: "stereo"}.get(audio["channels"], f"{audio['channels']} channels")
    facts = {
        "Duration": f"{audio['duration_s']:.1f} s",
        "Sampling rate": f"{audio['native_rate_hz'] / 1000:g} kHz",
        "Format": f"{audio['subtype'].replace('_', ' ')}, {channels}",
        "Bandwidth": f"up to {audio['bandwidth_hz']:.0f} Hz",
        "Level": f"{audio['rms_dbfs']:.1f} dBFS, peak {audio['peak_dbfs']:.1f}",
        "Clipped": f"{100 * audio['clipped_fraction']:.1f} %",
    }
    items = "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())
    return f'<dl class="jr-facts">{items}</dl>'
