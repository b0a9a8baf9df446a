"""The proof of a corpus's splits, for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from jaxresp.splits.split import Split


def print_splits(console: Console, splits: Sequence[Split], refused: Mapping[str, str]) -> None:
    """One table per split with what must be said of it, and then the splits that cannot be made and why."""
    for split in splits:
        console.print(_table(split))
        for line in sentences(split):
            console.print(f"  {line}", highlight=False, markup=False)
        console.print()
    if refused:
        console.print("Not possible here", style="bold")
    for name, why in refused.items():
        console.print(f"  {name}: {why}", highlight=False, markup=False)


def sentences(split: Split) -> tuple[str, ...]:
    """What is said below the table of a split."""
    aside = (
        f"Left out, {each['reason']}: {_count(each['recordings'], split.row)} of {_count(each['patients'], 'patient')}."
        for each in split.to_json()["left_out"]
    )
    return (*split.sentences, *aside)


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _table(split: Split) -> Table:
    title = f"[bold]{escape(split.name)}[/bold], {split.kind.replace('_', ' ')}"
    table = Table(title=title, title_justify="left", title_style="", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("fold", justify="right")
    table.add_column("side")
    columns = ("patients", f"{split.row}s", *split.classes, "on another side")
    for column in columns:
        table.add_column(escape(column), justify="right", overflow="fold")
    for row in split.proof:
        shared = str(row["shared patients"])
        table.add_row(
            str(row["fold"]),
            str(row["side"]),
            str(row["patients"]),
            str(row["recordings"]),
            *(f"{row[f'{name} patients']} / {row[f'{name} recordings']}" for name in split.classes),
            shared if shared == "0" else f"[bold red]{shared}[/bold red]",
            end_section=row["side"] == "test",
        )
    return table
