"""A report as HTML: one page, nothing fetched from anywhere, no script. Everything from a corpus is escaped."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from jaxresp.pages.style import css_variables

_FRAGMENT = "jaxresp-data"  # the class of what stands inside another page


@dataclass(frozen=True)
class Table:
    """Numbers as a table; the first column names the row, the others are set as numbers.

    Attributes:
        head: names of the columns.
        rows: texts, unescaped.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Plate:
    """A figure with what belongs to it.

    Attributes:
        name: unique in the page; the PNG's name too.
        title: what is shown.
        caption: what to see.
        svg: from `style.svg_of`.
        table: the numbers, folded away below it.
        wide: as wide as the page.
        sound: a WAV file to listen to.
    """

    name: str
    title: str
    caption: str
    svg: str
    table: Table | None = None
    wide: bool = False
    sound: bytes | None = None


@dataclass(frozen=True)
class Section:
    """A chapter of the report.

    Attributes:
        name: its anchor.
        title: its heading.
        lead: one paragraph that says why it is here, in plain text.
        plates: figures.
        remarks: paragraphs set apart: what is not shown and why, warnings.
        open_table: a table shown unfolded, after the lead.
        legend: names and colours (of `style.COLOURS`) that its figures share.
        tables: more of them, with their titles, after the figures.
    """

    name: str
    title: str
    lead: str
    plates: tuple[Plate, ...] = ()
    remarks: tuple[str, ...] = ()
    open_table: Table | None = None
    legend: tuple[tuple[str, str], ...] = ()
    tables: tuple[tuple[str, Table], ...] = ()


@dataclass(frozen=True)
class Page:
    """A whole report.

    Attributes:
        kind: what sort of report it is, such as "Corpus report".
        title: of what, such as the corpus's name.
        subtitle: what stands under it.
        badges: words that must not be overlooked, such as "partial".
        notices: a sentence for each.
        numbers: the large ones at the top: value and what it counts.
        brief: the sentences to read when nothing else is.
        sections: chapters.
        colophon: how the report was made.
    """

    kind: str
    title: str
    subtitle: str
    badges: tuple[str, ...]
    notices: tuple[str, ...]
    numbers: tuple[tuple[str, str], ...]
    brief: tuple[str, ...]
    sections: tuple[Section, ...]
    colophon: tuple[str, ...]


def html_of(page: Page) -> str:
    """The page as one HTML document."""
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    colours = (
        f":root {{ color-scheme: light dark; {css_variables('light')} }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {css_variables('dark')} }} }}\n"
    )
    contents = "".join(f'<li><a href="#{s.name}">{escape(s.title)}</a></li>' for s in page.sections)
    badges = "".join(f'<li class="badge">{escape(badge)}</li>' for badge in page.badges)
    numbers = "".join(f"<div><dt>{escape(what)}</dt><dd>{escape(value)}</dd></div>" for value, what in page.numbers)
    notices = "".join(f"<p>{escape(notice)}</p>" for notice in page.notices)
    brief = "".join(f"<li>{escape(sentence)}</li>" for sentence in page.brief)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(page.title)} – {escape(page.kind.lower())}</title>\n"
        f"<style>\n{colours}{style}</style>\n</head>\n<body>\n"
        '<a class="skip" href="#content">Skip to the content</a>\n'
        f'<header><p class="over">{escape(page.kind)}</p><h1>{escape(page.title)}</h1>'
        f'<p class="subtitle">{escape(page.subtitle)}</p>{f"<ul class=badges>{badges}</ul>" if badges else ""}'
        f'<dl class="numbers">{numbers}</dl></header>\n'
        f'<nav aria-label="Contents"><p class="over">Contents</p><ol>{contents}</ol></nav>\n'
        f'<main id="content">\n{f"<div class=notice role=note>{notices}</div>" if notices else ""}'
        f'<section id="brief"><h2>In brief</h2><ul class="brief">{brief}</ul></section>\n'
        f"{''.join(map(_section, page.sections))}</main>\n"
        f"<footer>{''.join(f'<p>{escape(line)}</p>' for line in page.colophon)}</footer>\n</body>\n</html>\n"
    )


def fragment_of(page: Page) -> str:
    """The page as an element that can stand inside another page: no head, no contents, no anchors.

    Its style reaches nothing outside. It is dark inside an element of the class "dark".
    """
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    badges = "".join(f'<li class="badge">{escape(badge)}</li>' for badge in page.badges)
    numbers = "".join(f"<div><dt>{escape(what)}</dt><dd>{escape(value)}</dd></div>" for value, what in page.numbers)
    notices = "".join(f"<p>{escape(notice)}</p>" for notice in page.notices)
    brief = "".join(f"<li>{escape(sentence)}</li>" for sentence in page.brief)
    return (
        f'<div class="{_FRAGMENT}"><style>.{_FRAGMENT} {{ {css_variables("light")} color: var(--ink); }}\n'
        f".dark .{_FRAGMENT} {{ {css_variables('dark')} }}\n"
        f".{_FRAGMENT} {{ {style} .numbers {{ margin: 24px 0 32px; }} }}</style>\n"
        f"<h2>{escape(page.title)}</h2><p>{escape(page.subtitle)}</p>"
        f'{f"<ul class=badges>{badges}</ul>" if badges else ""}<dl class="numbers">{numbers}</dl>'
        f"{f'<div class=notice role=note>{notices}</div>' if notices else ''}"
        f'<section><h2>In brief</h2><ul class="brief">{brief}</ul></section>\n'
        f"{''.join(_section(section, anchored=False) for section in page.sections)}"
        f"<footer>{''.join(f'<p>{escape(line)}</p>' for line in page.colophon)}</footer></div>\n"
    )


def _section(section: Section, *, anchored: bool = True) -> str:
    remarks = "".join(f'<p class="remark">{escape(remark)}</p>' for remark in section.remarks)
    legend = "".join(
        f'<li><span class="swatch" style="background:var(--{colour})"></span>{escape(name)}</li>'
        for name, colour in section.legend
    )
    plates = (
        f'<div class="plates">{"".join(_plate(plate, anchored) for plate in section.plates)}</div>'
        if section.plates
        else ""
    )
    tables = "".join(f"<h3>{escape(title)}</h3>{_table(table, title)}" for title, table in section.tables)
    return (
        f"<section{_anchor(section.name, anchored)}>"
        f'<h2>{escape(section.title)}</h2><p class="lead">{escape(section.lead)}</p>'
        f"{_table(section.open_table, section.title) if section.open_table else ''}"
        f"{f'<ul class=legend>{legend}</ul>' if legend else ''}"
        f"{plates}{f'<div class=tables>{tables}</div>' if tables else ''}{remarks}</section>\n"
    )


def _anchor(name: str, anchored: bool) -> str:
    return f' id="{name}"' if anchored else ""


def _plate(plate: Plate, anchored: bool) -> str:
    numbers = ""
    if plate.table is not None:
        numbers = f"<details><summary>The numbers</summary>{_table(plate.table, plate.title)}</details>"
    sound = ""
    if plate.sound is not None:
        data = base64.b64encode(plate.sound).decode()
        sound = (
            f'<audio controls preload="none" aria-label="{escape(plate.title)}" src="data:audio/wav;base64,{data}">'
            "</audio>"
        )
    return (
        f'<figure{_anchor(plate.name, anchored)} class="{"wide" if plate.wide else "half"}">'
        f"<h3>{escape(plate.title)}</h3>"
        f'<div class="drawing">{plate.svg}</div>{sound}<figcaption>{escape(plate.caption)}</figcaption>'
        f"{numbers}</figure>"
    )


def _table(table: Table, title: str) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.head)
    return (
        f'<div class="scroll"><table><caption>{escape(title)}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(map(_row, table.rows))}</tbody></table></div>"
    )


def _row(row: Sequence[str]) -> str:
    name, *values = row
    return f'<tr><th scope="row">{escape(name)}</th>{"".join(f"<td>{escape(value)}</td>" for value in values)}</tr>'
