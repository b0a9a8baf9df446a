"""The page at /ui: a sound, a choice of model, an answer; the data, the models, the running service."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import gradio as gr
from fastapi import FastAPI

from bento.engine import Engine
from bento.limits import LIMITS
from bento.ui import style
from bento.ui.examples import write_examples
from bento.ui.folder import own_folder
from bento.ui.page import build
from bento.ui.uploads import Uploads

#: Seconds between two looks of Gradio's queue whether anybody has pressed a button. Its own choice of 1 ms, in two
#: loops, takes 3 % of a core from the API's requests.
_POLL_S = 0.02


@contextlib.contextmanager
def mount(engine: Engine) -> Iterator[FastAPI]:
    """The page as an application. Its uploads live in a folder that is deleted with it (see `own_folder`).

    Args:
        engine: what answers.
    """
    with own_folder() as folder:
        os.environ["GRADIO_TEMP_DIR"] = str(folder)
        uploads = Uploads(folder / "uploads")
        blocks = build(engine, write_examples(folder / "examples"), uploads)
        web = FastAPI(openapi_url=None)
        uploads.serve(web, blocks)
        gr.mount_gradio_app(
            web,
            blocks,
            path="",
            ssr_mode=False,
            footer_links=[],
            run_history=False,
            max_file_size=LIMITS.max_body_bytes,
            theme=style.theme(),
            css=style.page_css(),
            head=style.script(),
        )
        blocks._queue.sleep_when_free = blocks._queue.progress_update_sleep_when_free = _POLL_S
        yield web
