"""The layout: a tab to listen, and tabs about the data, the models and the running service."""

from __future__ import annotations

import asyncio
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from bento.engine import Engine
from bento.limits import LIMITS
from bento.live import snapshot
from bento.ui import live, models
from bento.ui.evidence import evidence
from bento.ui.listen import listen
from bento.ui.style import plain
from bento.ui.uploads import Uploads
from jaxresp.prediction import NOTICE

_SWEEP_S = 30  # seconds between two looks for uploads that are too old
_REFRESH_S = 5.0  # of the Metrics tab; as often as there is a new measurement

_HEAD = f"""<header class="jr-head"><svg viewBox="0 0 44 44" fill="none" stroke="currentColor" stroke-width="2.6"
stroke-linecap="round" aria-hidden="true"><path d="M3 22h5l3-9 5 20 5-27 5 30 5-20 3 6h7"/></svg>
<div><h1>Respiratory sounds</h1><p>Hear what a small neural network hears in a breath.</p></div></header>
<p class="jr-notice" role="note">{escape(NOTICE)}</p>
<p id="jr-said" class="jr-hidden" role="status" aria-live="polite"></p>"""

_NO_DATA = """<section class="jr-card jr-empty">
<p><strong>No page about the data was exported with these models</strong></p>
<p><code>jaxresp run</code> writes one about the recordings it trains on, and <code>jaxresp export</code> brings it
along.</p></section>"""


def build(engine: Engine, examples: dict[str, Path], uploads: Uploads) -> gr.Blocks:
    """Lay out the page.

    Args:
        engine: what answers.
        examples: made-up sounds by the words on their buttons.
        uploads: the visitors' sounds.
    """

    def left(request: gr.Request) -> None:
        uploads.left(request.session_hash)

    with gr.Blocks(
        title="Respiratory sounds", analytics_enabled=False, delete_cache=(_SWEEP_S, LIMITS.upload_age_s)
    ) as blocks:
        plain(_HEAD)
        with gr.Tabs(elem_id="pages"):
            with gr.Tab("Listen", id="listen", elem_id="tab-listen") as listening:
                listen(engine, examples, uploads)
            with gr.Tab("Data", id="data", elem_id="tab-data") as data:
                corpus = plain("", elem_id="data")
            with gr.Tab("Models", id="models", elem_id="tab-models") as about_models:
                _models(engine)
            with gr.Tab("Metrics", id="metrics", elem_id="tab-metrics") as metrics:
                numbers = plain("", elem_id="metrics")
                timer = gr.Timer(_REFRESH_S, active=False)
        # What is large or changes is sent when its tab is opened, not with the page.
        quietly: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        data.select(lambda: engine.about.data_html or _NO_DATA, None, corpus, **quietly)

        async def now() -> str:
            return live.numbers(await asyncio.to_thread(snapshot))

        metrics.select(now, None, numbers, **quietly)
        timer.tick(now, None, numbers, **quietly)
        metrics.select(lambda: gr.Timer(active=True), None, timer, **quietly)
        for other in (listening, data, about_models):
            other.select(lambda: gr.Timer(active=False), None, timer, **quietly)
        blocks.unload(left)
    return blocks


def _models(engine: Engine) -> None:
    described = engine.describe()
    plain(models.performance(engine.about.results, described), elem_id="models")
    names = [each["name"] for each in described]
    chosen = gr.Radio(
        [(models.title(each), each["name"]) for each in described],
        value=engine.quick if engine.quick in names else names[0],
        label="One model more closely",
        elem_id="card-of",
    )

    def shown(name: str) -> tuple[str, str]:
        model = engine.models[name]
        return evidence(engine.about.result(name), model.gate), model.card

    behind_it, its_card = shown(engine.quick)
    behind = plain(behind_it, elem_id="evidence")
    card = gr.Markdown(its_card, elem_id="card", container=True)
    chosen.change(
        shown,
        chosen,
        [behind, card],
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )
