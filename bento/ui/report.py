"""An answer to take along: as JSON, and as one HTML page that needs nothing else.

Both are links that hold their file: nothing is written on the server for them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from typing import Any

import jaxresp
from bento.ui.style import report_css
from jaxresp.prediction import NOTICE

_NAME = "respiratory-sound-answer"


def report(card: str, picture: str, answer: Mapping[str, Any], models: Mapping[str, str]) -> str:
    """One self-contained page.

    Args:
        card: the answer as HTML.
        picture: the sound as HTML.
        answer: the same as JSON, without what is drawn.
        models: name → version of the models that answered.
    """
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    by = ", ".join(f"{escape(name)} {escape(version)}" for name, version in models.items())
    spelt = escape(json.dumps(answer, ensure_ascii=False, indent=1))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Respiratory sound: an answer</title><style>{report_css()}</style></head><body><main>"
        "<header><h1>Respiratory sound: an answer</h1>"
        f'<p class="jr-small">{when} · jaxresp {jaxresp.__version__} · {by}</p>'
        f'<p class="jr-notice">{escape(NOTICE)}</p></header>{card}{picture}'
        f"<details><summary>The answer as JSON</summary><pre>{spelt}</pre></details>"
        "</main></body></html>"
    )


def downloads(page: str, answer: Mapping[str, Any]) -> str:
    """Links that save the report and the JSON."""
    return (
        '<p class="jr-downloads"><span>Download</span>'
        f"{_link('Report (HTML)', f'{_NAME}.html', 'text/html', page)}"
        f"{_link('JSON', f'{_NAME}.json', 'application/json', json.dumps(answer, ensure_ascii=False))}</p>"
    )


def in_brief(answer: Mapping[str, Any]) -> dict[str, Any]:
    """An answer without the thousands of numbers of its explanation, to be read by people."""
    if "explanation" not in answer:
        return dict(answer)
    kept = {key: value for key, value in answer["explanation"].items() if key not in ("saliency", "map")}
    return {**answer, "explanation": kept}


def _link(words: str, name: str, kind: str, content: str) -> str:
    data = base64.b64encode(content.encode()).decode()
    return f'<a class="jr-button" download="{name}" href="data:{kind};charset=utf-8;base64,{data}">{words}</a>'
