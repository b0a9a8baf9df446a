"""What MLflow is to be told of one study: files in the model's folder, which a store that is down cannot lose.

models/<name>/tracking/
study.json      its identity, tags and parameters
trial-<n>.json  one per finished trial
told.json       the store that has been told everything
"""

from __future__ import annotations

import json
import math
import statistics
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxresp.files import write_whole

if TYPE_CHECKING:
    from jaxresp.sweep import Trial


class Spool:
    """The records of one study.

    Args:
        work: the run's folder.
        name: of the model, and of its folder in `models/`.
    """

    def __init__(self, work: Path, name: str):
        self.name = name
        self.model = work / "models" / name
        self.classifier = work / "classifiers" / name
        self._folder = self.model / "tracking"

    def begin(self, tags: Mapping[str, str], params: Mapping[str, Any]) -> str:
        """Write down what the study is. Returns its identity, which it keeps when it is continued."""
        identity = self.study()["id"] if self._begun else uuid.uuid4().hex
        self._write("study.json", {"id": identity, "tags": dict(tags), "params": _words(params)})
        (self._folder / "told.json").unlink(missing_ok=True)  # there is more to tell
        return str(identity)

    def study(self) -> dict[str, Any]:
        """`id`, `tags`, `params`."""
        return self._read("study.json")

    def add(self, trial: Trial) -> None:
        """Write down a finished trial, once: a continued sweep names those that it has already."""
        if self._file_of(trial.number).is_file():
            return
        folds = [
            {"score": each.score, "best_epoch": each.best_epoch, "history": list(each.history)} for each in trial.fits
        ]
        of_folds = [each.score for each in trial.fits if math.isfinite(each.score)]
        record = {
            "number": trial.number,
            "pruned": trial.pruned,
            "settings": _words(trial.settings),
            "score": statistics.fmean(of_folds) if of_folds else None,  # of a pruned one, as far as it went
            "folds": folds,
            "finished_ms": int(time.time() * 1000),
        }
        self._write(self._file_of(trial.number).name, record)

    def trials(self) -> list[int]:
        """Numbers of the trials written down, in order."""
        return sorted(int(path.stem.partition("-")[2]) for path in self._folder.glob("trial-*.json"))

    def trial(self, number: int) -> dict[str, Any]:
        """`number`, `pruned` (why, or ""), `settings`, `score`, `folds`, `finished_ms`."""
        return self._read(self._file_of(number).name)

    def owes(self, store: str) -> bool:
        """Whether this store has not been told everything."""
        told = self._folder / "told.json"
        return self._begun and not (told.is_file() and self._read(told.name)["store"] == store)

    def mark_told(self, store: str) -> None:
        self._write("told.json", {"store": store})

    @property
    def _begun(self) -> bool:
        return (self._folder / "study.json").is_file()

    def _file_of(self, number: int) -> Path:
        return self._folder / f"trial-{number}.json"

    def _write(self, name: str, what: Mapping[str, Any]) -> None:
        write_whole(self._folder / name, json.dumps(what, indent=2) + "\n")

    def _read(self, name: str) -> dict[str, Any]:
        return dict(json.loads((self._folder / name).read_text()))


def _words(params: Mapping[str, Any]) -> dict[str, str]:
    """MLflow's parameters are text."""
    return {key: str(value) for key, value in params.items()}
