"""Colours and type of the reports' figures, and their way into the page.

A figure is drawn once, in the colours of the light scheme. In the page each colour becomes a CSS variable, so that the
same figure is read on white paper and on a dark screen, and its words take the page's own type.
"""

from __future__ import annotations

import base64
import html
import io
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Colour(NamedTuple):
    """One colour in the light and in the dark scheme."""

    light: str
    dark: str


COLOURS: Mapping[str, Colour] = MappingProxyType(
    {
        "ink": Colour("#1b2830", "#e7eef2"),
        "muted": Colour("#586974", "#a2b3bd"),
        "line": Colour("#d8dfe3", "#34454f"),
        "paper": Colour("#ffffff", "#10191f"),
        "accent": Colour("#0f766e", "#2dd4bf"),
        "on-accent": Colour("#fefefe", "#06201d"),
        # Paul Tol's "muted" scheme (Tol, Colour Schemes, SRON/EPS/TN/09-002, 2021), told apart with any colour vision;
        # sand and cyan a little darker to stand on white, all lighter on a dark screen.
        "class-0": Colour("#332288", "#8c7ff5"),
        "class-1": Colour("#117733", "#41b06b"),
        "class-2": Colour("#78c0e8", "#a5dcf7"),
        "class-3": Colour("#cdb95a", "#e8d98a"),
        "class-4": Colour("#cc6677", "#ef8d9c"),
        "class-5": Colour("#44aa99", "#58d0bd"),
        "class-6": Colour("#aa4499", "#d27fc6"),
        "class-7": Colour("#882255", "#c2487f"),
        "class-8": Colour("#999933", "#b9b94a"),
        "class-none": Colour("#bcc6cc", "#53626b"),
        "kind-neither": Colour("#8e9ca5", "#83949f"),
        "kind-crackle": Colour("#d55e00", "#f5893a"),
        "kind-wheeze": Colour("#0072b2", "#55b1ee"),
        "kind-both": Colour("#5c1a4a", "#f7cdee"),
    }
)
"""Every colour that a figure may use, by the name of its CSS variable."""

_OF_DIAGNOSIS = {
    "COPD": 0,
    "Healthy": 1,
    "URTI": 2,
    "Bronchiectasis": 3,
    "Pneumonia": 4,
    "Bronchiolitis": 5,
    "LRTI": 6,
    "Asthma": 7,
}
NOT_GIVEN = "not given"
"""What stands for a class that nobody gave; it has a colour of its own."""

_N_CLASS_COLOURS = 9
_NAME_OF_LIGHT = {colour.light: name for name, colour in COLOURS.items()}


def light(name: str) -> str:
    """A colour as figures are drawn with it."""
    return COLOURS[name].light


def class_colours(names: Sequence[str]) -> dict[str, str]:
    """Class → name of its colour, the same in every figure.

    The diagnoses of ICBHI keep theirs from corpus to corpus; other classes take those left over, in order, and begin
    again where there are none left (every mark is labelled as well).
    """
    own = {name: f"class-{_OF_DIAGNOSIS[name]}" for name in names if name in _OF_DIAGNOSIS}
    free = [f"class-{i}" for i in range(_N_CLASS_COLOURS) if f"class-{i}" not in own.values()]
    free = free or [f"class-{i}" for i in range(_N_CLASS_COLOURS)]
    others = [name for name in names if name not in own and name != NOT_GIVEN]
    own |= {name: free[i % len(free)] for i, name in enumerate(others)}
    return {name: own.get(name, "class-none") for name in names}


def css_variables(scheme: str) -> str:
    """The declarations of all colours of the "light" or the "dark" scheme."""
    return " ".join(f"--{name}: {getattr(colour, scheme)};" for name, colour in COLOURS.items())


# Matplotlib's settings are the process's: what one thread sets, and puts back, another one would draw with.
_SETTINGS = threading.RLock()


@contextmanager
def drawing() -> Iterator[None]:
    """Matplotlib's settings while a figure of ours is made or saved, by one thread at a time."""
    import matplotlib as mpl

    ink, muted, line = light("ink"), light("muted"), light("line")
    settings = {
        "font.family": ["DejaVu Sans"],  # ships with Matplotlib: the same layout everywhere
        "font.size": 11.5,
        "text.color": ink,
        "axes.labelcolor": muted,
        "axes.labelsize": 11,
        "axes.edgecolor": line,
        "axes.facecolor": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.titlesize": 11.5,
        "axes.titlecolor": ink,
        "axes.titlelocation": "left",
        "axes.formatter.use_mathtext": False,
        "axes.unicode_minus": True,
        "text.parse_math": False,  # a name from a folder is a name, whatever signs are in it
        "grid.color": line,
        "grid.linewidth": 0.7,
        "xtick.color": line,
        "ytick.color": line,
        "xtick.labelcolor": muted,
        "ytick.labelcolor": ink,
        "xtick.labelsize": 11,
        "ytick.labelsize": 11.5,
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "ytick.minor.size": 0,
        "xtick.minor.size": 0,
        "legend.frameon": False,
        "legend.fontsize": 11,
        "legend.handlelength": 1.0,
        "figure.facecolor": "none",
        "figure.constrained_layout.use": True,
        "svg.fonttype": "none",
        "svg.hashsalt": "jaxresp",  # the same figure is the same text
        "image.interpolation": "none",
    }
    with _SETTINGS, mpl.rc_context(settings):
        yield


def png_of(figure: Figure) -> bytes:
    """A figure for paper and slides, at twice the size it has on the page."""
    file = io.BytesIO()
    with drawing():
        figure.savefig(file, format="png", dpi=144, facecolor="white", metadata={"Software": None})
    return file.getvalue()


def svg_of(figure: Figure, name: str, alt: str) -> str:
    """A figure as an element of the page.

    Args:
        figure: drawn under `drawing`, 72 units to the inch.
        name: unique in the page; the names inside the figure begin with it.
        alt: what it says, for who does not see it.
    """
    file = io.StringIO()
    with drawing():
        figure.savefig(
            file, format="svg", dpi=72, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    svg = file.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)
    linked = set(re.findall(r'(?:url\(#|xlink:href="#)([\w-]+)', svg))
    # Tags only: words in between are names from the corpus, and stay as they are.
    svg = re.sub(r"<[^>]+>", lambda tag: _fit_into_page(tag[0], name, linked), svg[svg.index("<svg") :])
    view = re.search(r'viewBox="[^"]+"', svg)
    if view is None:
        raise ValueError("Matplotlib wrote an SVG without a viewBox")
    head = f'<svg {view[0]} role="img" aria-label="{html.escape(alt)}">'
    return head + re.sub(r">\s+<", "><", svg[svg.index(">") :])[1:].strip()


def _fit_into_page(tag: str, name: str, linked: set[str]) -> str:
    """A tag of Matplotlib's in the page's colours and type, with ids that are unique in the page, and shorter.

    Ids that nothing points to go; the others begin with the figure's name.
    """
    tag = re.sub(r"data:image/png;base64,([^\"]+)", lambda found: _smaller(found[1]), tag)
    if "data:image" not in tag:
        tag = re.sub(r"(\.\d\d)\d+", r"\1", tag)
    tag = re.sub(r"#[0-9a-f]{6}\b", lambda found: _variable(found[0]), tag)
    tag = re.sub(r"font: (?:(\d+) )?([\d.]+)px [^;\"]*", _own_type, tag)
    tag = re.sub(r' id="([^"]+)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in linked else "", tag)
    return re.sub(r'(url\(#|xlink:href="#)([\w-]+)', rf"\g<1>{name}-\g<2>", tag).replace("xlink:href", "href")


def _variable(colour: str) -> str:
    name = _NAME_OF_LIGHT.get(colour)
    return f"var(--{name})" if name else colour


def _own_type(found: re.Match[str]) -> str:
    weight = f"; font-weight: {found[1]}" if found[1] else ""
    return f"font-size: {found[2]}px{weight}"


def _smaller(data: str) -> str:
    """An embedded picture with a palette: a third of the bytes for the same picture."""
    from PIL import Image

    image = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB").quantize(64)
    file = io.BytesIO()
    image.save(file, "png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
