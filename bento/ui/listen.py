"""The Listen tab: a sound, three ways to ask about it, and the answer."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from bento import metrics
from bento.answers import Answer
from bento.engine import Engine
from bento.errors import MissingAudio, body_of
from bento.limits import LIMITS
from bento.store import FEATURES, QUICK_VARIABLE, TASKS
from bento.ui import answer as answers
from bento.ui.comparison import comparison
from bento.ui.models import reached
from bento.ui.picture import draw
from bento.ui.report import downloads, in_brief, report
from bento.ui.style import plain
from bento.ui.uploads import Uploads
from bento.ui.words import FEATURE_NAMES, TASK_NAMES
from bento.upload import age_of
from jaxresp.errors import JaxrespError
from jaxresp.explanation import Explanation

#: What the page shows of an answer: the card, the picture, the downloads, the JSON, and whether it can be opened.
Shown = tuple[str, Any, Any, dict[str, Any], Any]
_SOON = "What spoke for it is being computed."


class Desk:
    """What happens when a button of the tab is pressed.

    Args:
        engine: what answers.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def quick(self, sound: str | None, age: str) -> AsyncIterator[Shown]:
        """The quick model's answer, then what spoke for it."""
        async for shown in self._one(sound, self.engine.quick.split("-", 1), age):
            yield shown

    async def flexible(self, sound: str | None, task: str, features: str, age: str) -> AsyncIterator[Shown]:
        """The chosen model's answer, then what spoke for it."""
        async for shown in self._one(sound, [task, features], age):
            yield shown

    async def compare(self, sound: str | None, age: str) -> Shown:
        """All models' answers."""
        try:
            said = await self.engine.compare(await _read(sound), age_of(age), keep=True)
        except JaxrespError as error:
            return _refused(error)
        predictions = {name: each.prediction for name, each in said.items()}
        classes = {name: each.classes for name, each in self.engine.models.items()}
        card = comparison(predictions, classes, self.engine.quick)
        recording = next(iter(said.values())).kept
        picture = await asyncio.to_thread(draw, recording, (), ())
        return _answered(card, picture, {"predictions": predictions})

    async def _one(self, sound: str | None, asked: list[str], age: str) -> AsyncIterator[Shown]:
        try:
            name = self.engine.name_of(*asked)
            said = await self.engine.classify(await _read(sound), name, age_of(age), keep=True)
        except JaxrespError as error:
            yield _refused(error)
            return
        # The answer comes at once; what spoke for it takes a gradient per window and is added when it is there.
        yield await self._shown(said, name)
        try:
            explained = await self.engine.explain_answer(said, name)
        except JaxrespError as error:
            yield await self._shown(said, name, f"What spoke for it is not known: {error}")
            return
        yield await self._shown(said, name, explained.explanation)

    async def _shown(self, said: Answer, name: str, why: Explanation | str = _SOON) -> Shown:
        explanation = why if isinstance(why, Explanation) else None
        note = "" if isinstance(why, Explanation) else why
        classes = self.engine.models[name].classes
        card = answers.answer(said.prediction, classes, reached(self.engine.about.result(name)))
        windows = said.prediction["windows"]
        picture = await asyncio.to_thread(draw, said.kept, windows, classes, explanation, note)
        whole = {"prediction": said.prediction} | (
            {} if explanation is None else {"explanation": explanation.to_json()}
        )
        return _answered(card, picture, whole)


def _answered(card: str, picture: str, whole: Mapping[str, Any]) -> Shown:
    predictions = whole["predictions"].values() if "predictions" in whole else [whole["prediction"]]
    models = {each["model"]["name"]: each["model"]["version"] for each in predictions}
    brief = in_brief(whole)
    links = downloads(report(card, picture, brief, models), whole)
    show = gr.update(visible=True)
    return card, gr.update(value=picture, visible=True), gr.update(value=links, visible=True), brief, show


def _refused(error: JaxrespError) -> Shown:
    metrics.count_rejection(error)
    hide = gr.update(value="", visible=False)
    return answers.failure(error), hide, hide, body_of(error), gr.update(visible=False)


async def _read(path: str | None) -> bytes:
    if path is None:
        raise MissingAudio("there is no recording yet; choose a file, record one, or take a made-up one")
    try:
        return await asyncio.to_thread(Path(path).read_bytes)
    except OSError as error:
        raise MissingAudio("this upload has been deleted meanwhile; choose the recording again") from error


def listen(engine: Engine, examples: Mapping[str, Path], uploads: Uploads) -> None:
    """Lay out the tab.

    Args:
        engine: what answers.
        examples: made-up sounds by the words on their buttons.
        uploads: the visitors' sounds.
    """
    desk = Desk(engine)
    quick_task, _, quick_features = engine.quick.rpartition("-")
    with gr.Row(equal_height=False, elem_classes="jr-desk"):
        with gr.Column(scale=4, min_width=300):
            sound = _sound(examples)
            with gr.Tabs(elem_id="modes"):
                with gr.Tab("Quick", id="quick", elem_id="tab-quick"):
                    plain(
                        f'<p class="jr-small">One model answers: <b>{TASK_NAMES[quick_task].lower()}</b>, from '
                        f"<b>{FEATURE_NAMES[quick_features]}</b> features. {_why_quick(engine)}</p>"
                    )
                    quick = gr.Button("Classify", variant="primary", size="lg", elem_id="quick-classify")
                with gr.Tab("Flexible", id="flexible", elem_id="tab-flexible"):
                    task = gr.Radio(_choices(TASKS, TASK_NAMES), value=quick_task, label="Question")
                    features = gr.Radio(_choices(FEATURES, FEATURE_NAMES), value=quick_features, label="Features")
                    flexible = gr.Button("Classify", variant="primary", size="lg", elem_id="flexible-classify")
                with gr.Tab("Compare", id="compare", elem_id="tab-compare"):
                    plain('<p class="jr-small">All six models answer about the same sound, side by side.</p>')
                    compare = gr.Button("Compare all six", variant="primary", size="lg", elem_id="compare-classify")
            age = gr.Textbox(
                label="Age of the patient in years (optional)",
                info="Only to warn when a model was not trained on patients of that age.",
                max_lines=1,
                elem_id="age",
            )
            plain(
                '<p class="jr-small jr-privacy">The recording lies in a temporary file under a random name, so that '
                "it can be asked about again. It is deleted when you choose another, clear it or close this page, and "
                f"after {LIMITS.upload_age_s // 60} minutes at the latest. Nothing of it is logged or kept.</p>"
            )
        with gr.Column(scale=7, min_width=300):
            card = plain(answers.waiting(), elem_id="answer")
            picture = plain("", visible=False, elem_id="picture")
            links = plain("", visible=False, elem_id="downloads")
            with gr.Accordion("The answer as JSON", open=False, visible=False, elem_id="raw") as details:
                raw = gr.JSON(None, show_label=False)
    outputs = [card, picture, links, raw, details]
    asked: dict[str, Any] = {"concurrency_limit": 8, "show_progress": "minimal", "show_progress_on": card}
    quick.click(desk.quick, [sound, age], outputs, api_name="quick", **asked)
    flexible.click(desk.flexible, [sound, task, features, age], outputs, api_name="flexible", **asked)
    compare.click(desk.compare, [sound, age], outputs, api_name="compare", **asked)

    def changed(sound: str | None, request: gr.Request) -> None:
        uploads.chosen(sound, request.session_hash)

    sound.change(changed, sound, None, queue=False, show_progress="hidden", api_visibility="private")
    # An answer about another sound must not stand beside this one.
    hidden = '{"__type__": "update", "visible": false}'
    empty = f"() => [{json.dumps(answers.waiting())}, {hidden}, {hidden}, null, {hidden}]"
    sound.change(None, None, outputs, js=empty, api_visibility="private")


def _sound(examples: Mapping[str, Path]) -> gr.Audio:
    sound = gr.Audio(
        label="Recording",
        elem_id="sound",
        sources=["upload", "microphone"],
        type="filepath",
        editable=False,
        buttons=[],
        waveform_options=gr.WaveformOptions(waveform_color="#8aa3ad", waveform_progress_color="#0f766e", skip_length=1),
    )
    plain(
        '<p id="jr-mic" class="jr-problem" role="alert" hidden></p>'
        '<p class="jr-small">Or a made-up sound, synthesised on this computer:</p>'
    )
    with gr.Row(elem_classes="jr-clips"):
        for words, path in examples.items():
            clip = gr.Button(words, size="sm", variant="secondary", min_width=80)
            # Through the queue: outside it Gradio forgets that the page lies under /ui, and the sound cannot be played.
            clip.click(lambda path=path: str(path), None, sound, api_visibility="private", show_progress="hidden")
    return sound


def _why_quick(engine: Engine) -> str:
    """Who chose the model that answers quick questions."""
    if os.environ.get(QUICK_VARIABLE):
        return "Whoever runs this service has chosen it."
    return "Of those for this question it did best in validation." if engine.about.results else ""


def _choices(values: tuple[str, ...], names: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(names[value], value) for value in values]
