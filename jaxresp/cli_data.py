"""`jaxresp data`: the published corpora, and how to get them."""

from __future__ import annotations

from pathlib import Path

import click

from jaxresp.errors import JaxrespError
from jaxresp.fetch.sources import SOURCES, Source

_NEW = click.Path(file_okay=False, path_type=Path)


@click.group()
def data() -> None:
    """Get published recordings: ICBHI 2017, SPRSound, KAUH.

    \b
    jaxresp data list              what there is: size, terms of use, where it is published
    jaxresp data fetch icbhi       into recordings/icbhi, ready for
    jaxresp prepare recordings/icbhi

    Recordings of patients stay on your machine: nothing here uploads anything, and none of it may be passed on.
    """


@data.command("list")
def list_() -> None:
    """What can be fetched, from where, and on what terms."""
    for source in SOURCES.values():
        click.echo(f"{source.name}\n" + "\n".join(f"    {line}" for line in _about(source)) + "\n")


@data.command()
@click.argument("corpus", type=click.Choice(list(SOURCES)))
@click.option(
    "--to", type=_NEW, default=Path("recordings"), help="The corpus becomes a folder of its own name in this one."
)
def fetch(corpus: str, to: Path) -> None:
    """Download CORPUS from its publisher, or a mirror, and lay it out as `jaxresp prepare` reads it.

    Give the same command again after an interruption: it goes on from where it was. Published checksums are compared,
    certificates are always checked, and the folder appears only once everything is in it; until then what is there
    lies in CORPUS.partial beside it.
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
    click.echo("\n".join(_about(source)))
    with progress_shown(Console()) as show:
        folder = fetch_corpus(source, to, show=show)
    click.echo(f"{folder} is complete. Next: jaxresp prepare {_quoted(folder)}")


def _about(source: Source) -> tuple[str, ...]:
    hosts = dict.fromkeys(copy.host for file in source.files for copy in file.copies)
    gigabytes = source.download_bytes / 1e9
    return (
        source.title,
        f"published at {source.page}",
        f"{'at most ' if _bounded(source) else ''}{gigabytes:.1f} GB to download from {', '.join(hosts)}",
        f"terms: {source.terms}",
    )


def _bounded(source: Source) -> bool:
    """Whether a file's size is not published."""
    return any(file.copies[0].size_bytes is None for file in source.files)


def _quoted(path: Path) -> str:
    import shlex

    return shlex.quote(str(path))
