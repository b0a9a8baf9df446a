"""What is known about the six models beside themselves: their results, and the page about the data they come from.

It is exported with them as a seventh stored model, so that a Bento or a Space carries it too. Reading it needs nothing
but this file: no training framework, no plotting.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxresp.errors import JaxrespError

RESULTS, DATA = "results.json", "data.html"


class AboutDamaged(JaxrespError):
    """What was exported about the models cannot be read."""


@dataclass(frozen=True)
class About:
    """What a run left for its readers; empty when it left nothing.

    Attributes:
        results: one row per model as in the run's results.json: metrics with intervals, the majority's and the
            shortcuts' beside them, patients per class, corpus, split.
        data_html: an HTML element about the corpus (`jaxresp.explore.overview`), dark inside the class "dark"; no
            sound and no single recording is in it.
    """

    results: tuple[dict[str, Any], ...] = ()
    data_html: str | None = None

    def result(self, name: str) -> dict[str, Any] | None:
        """The row of a model, if there is one."""
        return next((row for row in self.results if row.get("name") == name), None)


def about_files(run_dir: Path) -> dict[str, bytes]:
    """The files of a run that readers of its models are shown, by name; none when it has none."""
    return {name: (run_dir / name).read_bytes() for name in (RESULTS, DATA) if (run_dir / name).is_file()}


def load_about(folder: Path) -> About:
    """Read the files of `about_files`, from a run's folder or from where they were copied to.

    Raises:
        AboutDamaged: a file is not what a run writes.
    """
    try:
        results, data = folder / RESULTS, folder / DATA
        rows = json.loads(results.read_text(encoding="utf-8"))["results"] if results.is_file() else ()
        if not all(isinstance(row, dict) for row in rows):
            raise TypeError("a row is no object")
        return About(tuple(rows), data.read_text(encoding="utf-8") if data.is_file() else None)
    except (ValueError, KeyError, TypeError) as error:
        raise AboutDamaged(
            f"{folder}: {RESULTS} or {DATA} is not what a run writes ({error!r}); remove both, give the same "
            "`jaxresp run` again, then `jaxresp export`"
        ) from error
