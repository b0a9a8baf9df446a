"""The page at /ui: a sound, a choice of model, an answer one can look into."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bento import answer_html, metrics
from bento.answer_html import FEATURE_NAMES, TASK_NAMES
from bento.engine import Engine
from bento.errors import MalformedForm, MissingAudio, body_of
from bento.examples import write_examples
from bento.limits import LIMITS
from bento.picture import draw
from bento.store import FEATURES, TASKS
from jaxresp.errors import JaxrespError
from jaxresp.prediction import NOTICE

_HERE = Path(__file__).resolve().parent
_SUFFIXES = {".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff", ".au", ".w64", ".opus"}
_SWEEP_S = 30  # seconds between two looks for uploads that are too old

#: What the page shows of an answer: the card, the picture, the JSON, and whether the JSON can be opened.
Shown = tuple[str, Any, dict[str, Any], Any]

_HEAD = """<header class="jr-head"><svg viewBox="0 0 44 44" fill="none" stroke="currentColor" stroke-width="2.6"
stroke-linecap="round" aria-hidden="true"><path d="M3 22h5l3-9 5 20 5-27 5 30 5-20 3 6h7"/></svg>
<div><h1>Respiratory sounds</h1><p>Upload or record breath sounds and see what a small neural network hears in them.</p>
</div></header>"""

# How often Gradio's queue looks whether anybody has pressed a button. Its own choice of 1 ms, in two loops, costs the
# API's requests as much as BentoML does (experiments/benchmarks/serving/hops.py).
_POLL_S = 0.02


@contextlib.contextmanager
def mount(engine: Engine) -> Iterator[FastAPI]:
    """The page as an application. Its uploads live in a folder that is deleted with it.

    Args:
        engine: what answers.
    """
    with tempfile.TemporaryDirectory(prefix="jaxresp-ui-", ignore_cleanup_errors=True) as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        blocks = build(engine, write_examples(Path(folder) / "examples"))
        web = FastAPI(openapi_url=None)
        _take_uploads(web, blocks, Path(folder))
        gr.mount_gradio_app(
            web,
            blocks,
            path="",
            ssr_mode=False,
            footer_links=[],
            run_history=False,
            max_file_size=LIMITS.max_body_bytes,
            theme=_theme(),
            css=(_HERE / "ui.css").read_text(),
        )
        blocks._queue.sleep_when_free = blocks._queue.progress_update_sleep_when_free = _POLL_S
        yield web


def _theme() -> gr.themes.Base:
    sans = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif"]  # nothing is downloaded
    mono = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]
    return gr.themes.Base(
        primary_hue="teal",
        secondary_hue="teal",
        neutral_hue="slate",
        radius_size=gr.themes.sizes.radius_lg,
        text_size=gr.themes.sizes.text_md,
        font=sans,
        font_mono=mono,
    ).set(
        body_background_fill="#f6f9fa",
        body_background_fill_dark="#0e171d",
        block_background_fill="#ffffff",
        block_background_fill_dark="#15212a",
        block_border_color="#dbe3ea",
        block_border_color_dark="#2b3b46",
        button_primary_background_fill="#0f766e",
        button_primary_background_fill_hover="#115e59",
        button_primary_background_fill_dark="#0f766e",
        button_primary_background_fill_hover_dark="#0d9488",
        checkbox_label_background_fill="#eef3f6",
        checkbox_label_background_fill_dark="#1d2c36",
        checkbox_label_background_fill_selected="#d8ebe9",
        checkbox_label_background_fill_selected_dark="#124640",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#ffffff",
    )


def _take_uploads(web: FastAPI, blocks: gr.Blocks, folder: Path) -> None:
    """Our own upload route before Gradio's: theirs keeps a file under its sender's name, and shows it in paths."""

    @web.post("/gradio_api/upload")
    async def upload(request: Request) -> Response:
        try:
            async with request.form(max_files=LIMITS.max_fields, max_fields=LIMITS.max_fields) as form:
                files = [file for file in form.getlist("files") if isinstance(file, UploadFile)]
                return JSONResponse([await _keep(file, blocks, folder) for file in files])
        except HTTPException:  # Starlette's word for a damaged form
            problem = MalformedForm("the upload is not a multipart form; choose the file again")
            metrics.count_rejection(problem)
            return JSONResponse(body_of(problem), status_code=400)

    @web.get("/gradio_api/upload_progress")
    async def progress() -> Response:
        return Response('data: {"msg": "done"}\n\n', media_type="text/event-stream")  # too quick to be worth a bar


async def _keep(file: UploadFile, blocks: gr.Blocks, folder: Path) -> str:
    suffix = Path(file.filename or "").suffix.lower()
    path = folder / f"{secrets.token_hex(16)}{suffix if suffix in _SUFFIXES else ''}"
    path.write_bytes(await file.read())
    blocks.upload_file_set.add(str(path))  # what delete_cache sweeps
    return str(path)


def build(engine: Engine, examples: dict[str, Path]) -> gr.Blocks:
    """Lay out the page.

    Args:
        engine: what answers.
        examples: made-up sounds by the words on their buttons.
    """
    classifiers = engine.classifiers
    quick_task, _, quick_features = engine.quick.rpartition("-")
    words = f"One model: {TASK_NAMES[quick_task].lower()}, from {FEATURE_NAMES[quick_features]} features."

    async def classify(path: str | None, task: str, features: str) -> Shown:
        try:
            name = engine.name_of(task, features)
            result = await engine.classify(await _read(path), name)
        except JaxrespError as error:
            metrics.count_rejection(error)
            shown = gr.update(value="", visible=False), body_of(error), gr.update(visible=False)
            return answer_html.failure(error), *shown
        prediction, classes = result.prediction, classifiers[name].classes
        picture = await asyncio.to_thread(draw, result.recording, prediction["windows"], classes)
        shown = gr.update(value=picture, visible=True), prediction, gr.update(visible=True)
        return answer_html.answer(prediction, classes), *shown

    async def quick(sound: str | None) -> Shown:
        return await classify(sound, quick_task, quick_features)

    async def flexible(sound: str | None, task: str, features: str) -> Shown:
        return await classify(sound, task, features)

    def card(task: str, features: str) -> str:
        return classifiers[engine.name_of(task, features)].card

    with gr.Blocks(
        title="Respiratory sounds", analytics_enabled=False, delete_cache=(_SWEEP_S, LIMITS.upload_age_s)
    ) as blocks:
        gr.HTML(_HEAD + f'<p class="jr-notice">{NOTICE}</p>')
        with gr.Row(equal_height=False):
            with gr.Column(scale=4, min_width=320):
                sound = gr.Audio(
                    label="Recording",
                    elem_id="sound",
                    sources=["upload", "microphone"],
                    type="filepath",
                    editable=False,
                    buttons=[],
                    waveform_options=gr.WaveformOptions(
                        waveform_color="#8aa3ad", waveform_progress_color="#0f766e", skip_length=1
                    ),
                )
                gr.HTML('<p class="jr-small">Or take a made-up sound, synthesised on this computer:</p>')
                with gr.Row(elem_classes="jr-clips"):
                    for sound_of, path in examples.items():
                        clip = gr.Button(sound_of, size="sm", variant="secondary", min_width=90)
                        clip.click(lambda path=path: str(path), None, sound, api_visibility="private", queue=False)
                with gr.Tabs():
                    with gr.Tab("Quick", id="quick"):
                        gr.HTML(f'<p class="jr-small">{words}</p>')
                        quick_button = gr.Button("Classify", variant="primary", size="lg", elem_id="quick-classify")
                    with gr.Tab("Flexible", id="flexible"):
                        task = gr.Radio(_choices(TASKS, TASK_NAMES), value=quick_task, label="Question")
                        features = gr.Radio(_choices(FEATURES, FEATURE_NAMES), value=quick_features, label="Features")
                        flexible_button = gr.Button(
                            "Classify", variant="primary", size="lg", elem_id="flexible-classify"
                        )
                        with gr.Accordion("Model card", open=False):
                            model_card = gr.Markdown(classifiers[engine.quick].card)
                gr.HTML(
                    '<p class="jr-small">A recording lies in a temporary file under a random name for about '
                    f"{LIMITS.upload_age_s // 60} minutes. Nothing of it is logged or kept.</p>"
                )
            with gr.Column(scale=6, min_width=320):
                answer = gr.HTML(answer_html.waiting(), elem_id="answer")
                picture = gr.HTML("", visible=False, elem_id="picture")
                with gr.Accordion("The answer as JSON", open=False, visible=False) as details:
                    raw = gr.JSON(None, show_label=False)
        outputs = [answer, picture, raw, details]
        quick_button.click(quick, sound, outputs, api_name="quick", concurrency_limit=8, scroll_to_output=True)
        flexible_button.click(
            flexible, [sound, task, features], outputs, api_name="flexible", concurrency_limit=8, scroll_to_output=True
        )
        gr.on([task.change, features.change], card, [task, features], model_card, api_visibility="private", queue=False)
    return blocks


async def _read(path: str | None) -> bytes:
    if path is None:
        raise MissingAudio("there is no recording yet; choose a file, record one, or take a made-up one")
    try:
        return await asyncio.to_thread(Path(path).read_bytes)
    except OSError as error:
        raise MissingAudio("this upload has been deleted meanwhile; choose the recording again") from error


def _choices(values: tuple[str, ...], names: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(names[value], value) for value in values]
