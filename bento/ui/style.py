"""Colours of the page and of the report, each in a light and a dark value, and Gradio's theme made of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import gradio as gr

_HERE = Path(__file__).resolve().parent


class Colour(NamedTuple):
    """One colour in the light and in the dark scheme."""

    light: str
    dark: str


#: By the name of its CSS variable. Text has a contrast of at least 4.5 on its ground: tests/service/test_style.py.
COLOURS: Mapping[str, Colour] = MappingProxyType(
    {
        "ground": Colour("#f5f8f9", "#0d161b"),
        "surface": Colour("#ffffff", "#142028"),
        "soft": Colour("#edf2f4", "#1c2b34"),
        "line": Colour("#d7e0e5", "#2c3d48"),
        "edge": Colour("#7b8c97", "#6d828f"),  # of what can be pressed or typed into: 3 to 1 on its ground
        "text": Colour("#13212b", "#e7eff3"),
        "muted": Colour("#4d5f6b", "#a3b5bf"),
        "accent": Colour("#0f766e", "#2dd4bf"),
        "on-accent": Colour("#ffffff", "#06201d"),
        "class-0": Colour("#0f766e", "#2dd4bf"),
        "class-1": Colour("#b45309", "#f5a742"),
        "class-2": Colour("#6d28d9", "#b79cfb"),
        "spoke": Colour("#be185d", "#f472b6"),
        "warn": Colour("#7a4300", "#f7c887"),
        "warn-soft": Colour("#fdf3e3", "#33270f"),
        "bad": Colour("#a11d2d", "#ff9da7"),
        "bad-soft": Colour("#fdf0f1", "#3a1a20"),
    }
)

_SANS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif"]  # nothing is downloaded
_MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]


def variables(scheme: str) -> str:
    """CSS declarations of every colour in the "light" or the "dark" scheme."""
    return "".join(f"--jr-{name}:{getattr(colour, scheme)};" for name, colour in COLOURS.items())


def page_css() -> str:
    """What the page is styled with; Gradio puts the class "dark" on it."""
    return (
        f":root,.gradio-container{{{variables('light')}}}.dark,.dark .gradio-container{{{variables('dark')}}}"
        f"{_file('answer.css')}{_file('tabs.css')}{_file('page.css')}"
    )


def report_css() -> str:
    """What the report is styled with: it follows the reader's own scheme, and prints on white."""
    return (
        f":root{{{variables('light')}color-scheme:light dark}}"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{variables('dark')}}}}}"
        f"{_file('answer.css')}{_file('report.css')}"
    )


def script() -> str:
    """What the page adds to Gradio's behaviour."""
    return f"<script>{_file('page.js')}</script>"


def _file(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def plain(html: str, **settings: Any) -> gr.HTML:
    """HTML that is styled by us alone."""
    import gradio as gr

    return gr.HTML(html, apply_default_css=False, **settings)


def theme() -> gr.themes.Base:
    """Gradio's own parts in our colours."""
    import gradio as gr

    def both(**settings: str) -> dict[str, str]:
        named = {}
        for key, name in settings.items():
            named[key], named[f"{key}_dark"] = COLOURS[name]
        return named

    base = gr.themes.Base(
        primary_hue="teal",
        secondary_hue="teal",
        neutral_hue="slate",
        radius_size=gr.themes.sizes.radius_md,
        text_size=gr.themes.sizes.text_md,
        font=_SANS,
        font_mono=_MONO,
    )
    return base.set(
        input_border_width="1px",
        input_border_width_dark="1px",
        checkbox_label_border_width="1px",
        **both(
            body_background_fill="ground",
            body_text_color="text",
            body_text_color_subdued="muted",
            block_background_fill="surface",
            block_border_color="line",
            block_label_background_fill="surface",
            block_label_text_color="muted",
            block_title_text_color="text",
            block_info_text_color="muted",
            input_background_fill="surface",
            input_border_color="edge",
            border_color_primary="line",
            button_primary_background_fill="accent",
            button_primary_background_fill_hover="accent",
            button_primary_text_color="on-accent",
            button_secondary_background_fill="surface",
            button_secondary_background_fill_hover="soft",
            button_secondary_text_color="text",
            button_secondary_border_color="edge",
            checkbox_label_background_fill="surface",
            checkbox_label_background_fill_hover="soft",
            checkbox_label_background_fill_selected="soft",
            checkbox_label_border_color="edge",
            checkbox_label_text_color="text",
            checkbox_background_color_selected="accent",
            checkbox_border_color_selected="accent",
            color_accent_soft="soft",
        ),
    )
