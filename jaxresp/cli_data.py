"""`jaxresp data`: the published corpora, and how to get them."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from jaxresp.cli_settings import NEW
from jaxresp.errors import JaxrespError
from jaxresp.fetch.sources import SOURCES, Source


@click.group()
def data() -> None:
    r"""Get published recordings: ICBHI 2017, SPRSound, KAUH.

    \b
    jaxresp data list                 what there is: size, terms of use, hosts
    jaxresp data fetch icbhi          download it into recordings/icbhi
    jaxresp prepare recordings/icbhi  then make a dataset of it

    Every corpus has terms of its own, which are printed before it is fetched.
    """


@data.command("list")
def list_() -> None:
    """What can be fetched, from where, and on what terms."""
    for source in SOURCES.values():
        click.echo(f"{source.name}\n{_about(source)}\n")


@data.command()
@click.argument("corpus", type=click.Choice(list(SOURCES)))
@click.option(
    "--to",
    type=NEW,
    default=Path("recordings"),
    help="The corpus becomes a folder of its own name in this one.",
)
def fetch(corpus: str, to: Path) -> None:
    """Download CORPUS and lay it out for `jaxresp prepare`.

    It comes from its publisher, or from a mirror where the publisher's host fails; the reason is told. Published
    checksums are compared, certificates are always checked, and the folder appears only once everything is in it.
    Until then what is there lies in CORPUS.partial beside it, and the same command, given again after an
    interruption, goes on from there.
    """
    try:
        from jaxresp.fetch.folder import fetch as fetch_corpus
        from jaxresp.fetch.progress import progress_shown
    except ModuleNotFoundError as error:
        raise JaxrespError(
            f"fetching needs {error.name}, which comes with what trains: pip install 'jaxresp[train]'"
        ) from error
    from rich.console import Console

    source = SOURCES[corpus]
    click.echo(_about(source))
    with progress_shown(Console()) as show:
        folder = fetch_corpus(source, to, show=show)
    click.echo(f"{folder} is complete. Next: jaxresp prepare {shlex.quote(str(folder))}")


def _about(source: Source) -> str:
    publishers = dict.fromkeys(file.copies[0].host for file in source.files)
    mirrors = dict.fromkeys(
        copy.host for file in source.files for copy in file.copies[1:] if copy.host not in publishers
    )
    exact = all(file.copies[0].size_bytes is not None for file in source.files)
    size = (
        f"{'' if exact else 'at most '}{source.download_bytes / 1e6:,.0f} MB to download from {', '.join(publishers)}"
    )
    lines = (
        source.title,
        f"published at {source.page}",
        size + (f"; mirrors: {', '.join(mirrors)}" if mirrors else ""),
        f"terms: {source.terms}",
    )
    return "\n".join(click.wrap_text(line, 100, "    ", "      ") for line in lines)
