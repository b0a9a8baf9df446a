"""An answer, an error, and the empty state, as HTML. Everything that is not ours is escaped.

`data-say` is what a screen reader is told when the answer comes; page.js passes it on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from bento.ui.words import feature_name, percent, sentence, task_name
from jaxresp.errors import JaxrespError


def waiting() -> str:
    """Before the first answer."""
    return (
        '<section class="jr-card jr-empty"><p><strong>The answer appears here</strong></p>'
        "<p>Choose a recording of breath sounds, or a made-up one, and press the button.</p></section>"
    )


def failure(error: JaxrespError) -> str:
    """What was wrong and what to do, where the answer would have been."""
    what, _, remedy = str(error).partition("; ")
    more = f'<p class="jr-remedy">{sentence(remedy)}</p>' if remedy else ""
    return f'<section class="jr-card jr-error" role="alert"><h2>No answer</h2><p>{sentence(what)}</p>{more}</section>'


def answer(prediction: Mapping[str, Any], classes: Sequence[str], reached: str = "") -> str:
    """The label, every class with its probability, warnings, and facts about the sound.

    Args:
        prediction: as the API answers.
        classes: of the model, in order.
        reached: how good the model is, as HTML (`models.reached`); "" where that is not known.
    """
    said = escape(_said(prediction))
    return (
        f'<section class="jr-card" aria-label="Answer" data-say="{said}">{_headline(prediction)}'
        f"{bars(prediction, classes)}{_meaning(prediction, reached)}{warnings(prediction['warnings'])}"
        f"{facts(prediction['audio'])}</section>"
    )


def _said(prediction: Mapping[str, Any]) -> str:
    label, n = prediction["label"], len(prediction["warnings"])
    if label is None:
        said = f"No answer: {prediction['reason'] or 'the model is not sure enough'}."
    else:
        said = f"Answer: {label}, {percent(prediction['probabilities'][label], 0)}."
    return said + (f" {n} warning{'s' if n > 1 else ''}." if n else "")


def _headline(prediction: Mapping[str, Any]) -> str:
    model, label = prediction["model"], prediction["label"]
    by = f"{task_name(model['task'])} · {feature_name(model['features'])}"
    if label is None:
        return f'<p class="jr-by">{escape(by)}</p><h2>No answer</h2><p class="jr-reason">{withheld(prediction)}</p>'
    return f'<p class="jr-by">{escape(by)}</p><h2>{escape(label)}</h2>'


def withheld(prediction: Mapping[str, Any]) -> str:
    """Why there is no answer, as a sentence."""
    return sentence(str(prediction["reason"] or "the model is not sure enough"))


def bars(prediction: Mapping[str, Any], classes: Sequence[str]) -> str:
    """One bar per class."""
    rows = []
    for k, name in enumerate(classes):
        p = prediction["probabilities"][name]
        winner = " jr-winner" if name == prediction["label"] else ""
        rows.append(
            f'<div class="jr-bar{winner}"><span>{escape(name)}</span><span class="jr-track" role="meter" '
            f'aria-label="{escape(name)}" aria-valuemin="0" aria-valuemax="100" aria-valuenow="{100 * p:.1f}">'
            f'<i style="width:{100 * p:.1f}%;background:var(--jr-class-{k})"></i></span>'
            f"<span>{percent(p)}</span></div>"
        )
    return f'<div class="jr-bars">{"".join(rows)}</div>'


def _meaning(prediction: Mapping[str, Any], reached: str) -> str:
    """Which classes remain, for which mixture of patients the probabilities hold, and how good the model is.

    Nothing where none of it is known.
    """
    possible, prevalence, said = prediction.get("possible"), prediction.get("prevalence"), ""
    if possible is not None:
        listed = ", ".join(map(escape, possible)) or "none"
        all_of_them = set(possible) >= set(prediction["probabilities"])
        said += "<p>" + ("<b>No class</b> can be ruled out" if all_of_them else f"Cannot be ruled out: <b>{listed}</b>")
        said += ", as far as the model card promises.</p>"
    if prevalence is not None:
        equal = max(prevalence.values()) - min(prevalence.values()) < 1e-6
        of = ", ".join(f"{percent(share, 0)} {escape(name)}" for name, share in prevalence.items())
        group = "every class is equally common" if equal else f"there are {of}"
        said += f"<p>Probabilities for a group in which {group}.</p>"
    said += f'<p class="jr-reached">{reached}</p>' if reached else ""
    return f'<div class="jr-meaning">{said}</div>' if said else ""


def warnings(messages: Sequence[str]) -> str:
    """What to keep in mind; nothing where there is nothing."""
    if not messages:
        return ""
    items = "".join(f"<li>{sentence(message)}</li>" for message in messages)
    return f'<div class="jr-warnings"><h3>Keep in mind</h3><ul>{items}</ul></div>'


def facts(audio: Mapping[str, Any]) -> str:
    """What was measured about the sound."""
    channels = {1: "mono", 2: "stereo"}.get(audio["channels"], f"{audio['channels']} channels")
    shown = {
        "Duration": f"{audio['duration_s']:.1f} s",
        "Sampling rate": f"{audio['native_rate_hz'] / 1000:g} kHz",
        "Format": f"{audio['subtype'].replace('_', ' ')}, {channels}",
        "Bandwidth": f"up to {audio['bandwidth_hz']:.0f} Hz",
        "Level (RMS)": f"{audio['rms_dbfs']:.1f} dBFS".replace("-", "−"),
        "Peak": f"{audio['peak_dbfs']:.1f} dBFS".replace("-", "−"),
        "Clipped": percent(audio["clipped_fraction"]),
    }
    items = "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in shown.items())
    return f'<dl class="jr-facts">{items}</dl>'
