"""What the experiments share: whose recordings, runs over several seeds, and the ledger of who looked at which test.

    JAXRESP_RECORDINGS   folder with icbhi/, sprsound/ and kauh/ in it, as `jaxresp data fetch` leaves them; by default
                         recordings/. An experiment whose corpus is not there says so and ends well.
    JAXRESP_WORK         where datasets, trials and Classifiers are kept; by default work/. The same command continues.

Settings are chosen on training patients (`choose`), which reads no test. `look` is the one way to a test side: it first
appends to ledger.jsonl which commit reads which test of which corpus with what configuration, and for the how manyth
time. Runs of users (`jaxresp run`) write no ledger: it is about the tests that this project publishes numbers of.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as students_t

from jaxresp.compilation import use_persistent_cache
from jaxresp.corpus import Corpus, load, prepare
from jaxresp.evaluate import report
from jaxresp.evaluate.result import Result
from jaxresp.evaluate.words import number
from jaxresp.files import sha256, write_whole
from jaxresp.judging import corpus_identity
from jaxresp.progress import Standing
from jaxresp.run import RunConfig, run

LEDGER = Path(__file__).parent / "results" / "ledger.jsonl"


def corpus(name: str) -> Corpus:
    """A publisher's corpus, prepared once; ends the experiment where it is not there."""
    use_persistent_cache()
    folder = Path(os.environ.get("JAXRESP_RECORDINGS", "recordings")) / name
    if not folder.exists():
        print(
            f"skipped: {folder} is not there; `jaxresp data fetch {name}` gets it, JAXRESP_RECORDINGS names its folder"
        )
        sys.exit(0)
    return load(prepare(folder, work() / "data", dataset=name, partial=True))


def work() -> Path:
    """Where everything is kept."""
    return Path(os.environ.get("JAXRESP_WORK", "work"))


def training_side(whole: Corpus) -> Corpus:
    """The recordings that the publisher lets one train on: all that a choice may rest on."""
    return whole.select(whole.official_split == "train")


def choose(experiment: str, whole: Corpus, settings: dict[str, RunConfig]) -> str:
    """Cross-validate settings on the training side; no test is read.

    Returns:
        a Markdown table, the lowest validation loss first.
    """
    found = []
    for name, config in settings.items():
        folder = work() / "experiments" / experiment / f"choose-{name}"
        for result in run(training_side(whole), folder, replace(config, split="folds"), progress=shown):
            found.append((result.validation_loss, name, result))
    rows = [
        (name, result.name, number(loss), *(f"{key} {number(value)}" for key, value in result.scores.items()))
        for loss, name, result in sorted(found, key=lambda each: each[:2])
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def look(experiment: str, whole: Corpus, config: RunConfig, seeds: Sequence[int]) -> list[tuple[Result, ...]]:
    """Train with every seed, and read what the split tests. Entered in the ledger before it is read.

    Args:
        experiment: its name; of the work folder too.
        whole: the corpus.
        config: of every run but the seed.
        seeds: of the runs.

    Returns:
        the results of each seed.
    """
    enter(experiment, whole, config.split, asdict(config) | {"seeds": list(seeds)})
    return [
        run(whole, work() / "experiments" / experiment / f"seed-{seed}", replace(config, seed=seed), progress=shown)
        for seed in seeds
    ]


def enter(experiment: str, whole: Corpus, test: str, configuration: dict[str, Any], ledger: Path | None = None) -> int:
    """Append one look to the ledger.

    Returns:
        how often this test of this corpus has now been looked at: at most, since a command that was cut off, and given
        again, is counted again.
    """
    ledger = ledger or LEDGER
    before = [json.loads(line) for line in ledger.read_text().splitlines()] if ledger.is_file() else []
    who = {key: value for key, value in corpus_identity(whole).items() if key != "made_up"}
    told = json.loads(json.dumps(configuration))
    same = (whole.name, whole.partial, test)
    count = 1 + sum((each["corpus"]["name"], each["corpus"]["partial"], each["test"]) == same for each in before)
    entry = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "experiment": experiment,
        "commit": _commit(),
        "corpus": who | {"recordings": len(whole)},
        "test": test,
        "count": count,
        "configuration": told,
        "configuration_sha256": sha256(json.dumps(told, sort_keys=True).encode()),
    }
    ledger.parent.mkdir(parents=True, exist_ok=True)
    with ledger.open("a") as file:
        file.write(json.dumps(entry, sort_keys=True) + "\n")
    return count


def over_seeds(runs: Sequence[Sequence[Result]], score: str | None = None) -> str:
    """A Markdown table: of every model, the mean over the seeds of balanced accuracy and challenge score.

    In brackets is Student's 95 % interval of that mean: how much the seed matters. What the patients matter, which is
    more, are the ranges behind it: the lowest and highest end of the seeds' patient bootstraps.

    Args:
        runs: the results of each seed, in the same order of models.
        score: which of the challenge's scores; none where the task belongs to no challenge.
    """
    out = ["| model | tested | n | patients | " + (score or "balanced accuracy") + " | ends over patients |"]
    out.append("|" + " --- |" * 6)
    for results in zip(*runs, strict=True):
        first = results[0]
        sides: list[tuple[str, Callable[[Result], Any]]] = [("all together", lambda result: result)]
        sides += [(name, lambda result, name=name: result.sides[name]) for name in first.sides]
        for name, of in sides:
            each = [of(result) for result in results]
            if score is None:
                values = [side.metrics.balanced_accuracy for side in each]
                ends = [side.intervals["balanced_accuracy"] for side in each]
            else:
                values, ends = [side.scores[score] for side in each], [side.score_intervals[score] for side in each]
            n, spread = each[0].metrics.n, mean_and_interval(values)
            over_patients = f"{number(min(low for low, _ in ends))}–{number(max(high for _, high in ends))}"
            row = (first.name, name, f"{n} {first.unit}s", str(each[0].n_patients), spread, over_patients)
            out.append("| " + " | ".join(row) + " |")
    return "\n".join(out)


def mean_and_interval(values: Sequence[float]) -> str:
    """The mean of some seeds' numbers with Student's 95 % interval; none of a single one."""
    if len(values) < 2:
        return f"{number(values[0])} (one seed)"
    half = float(students_t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    mean = float(np.mean(values))
    return f"{number(mean)} [{number(mean - half)}–{number(mean + half)}] ({len(values)} seeds)"


def write(experiment: str, text: str, *corpora: Corpus) -> None:
    """Print a result, and keep it: in experiments/results/ if the corpora are whole, else below JAXRESP_WORK."""
    of = ", ".join(f"{report.corpus_title(corpus_identity(each))}, {len(each)} recordings" for each in corpora)
    document = f"# {experiment}\n\nOn {of}; by commit {_commit()}.\n\n{text}\n"
    print(document)
    whole = not any(each.partial or each.made_up for each in corpora)
    write_whole((LEDGER.parent if whole else work() / "experiments") / f"{experiment}.md", document)


def _commit() -> str:
    """The commit of this checkout, marked when anything but results has changed since."""
    git = ["git", "-C", str(Path(__file__).parent.parent)]
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    changed = [*git, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!experiments/results"]
    return head + ("-dirty" if subprocess.run(changed, capture_output=True, text=True, check=True).stdout else "")


def shown(now: Standing) -> None:
    """Progress, one line each."""
    print(f"{datetime.now():%H:%M:%S} {now.done:4.0%} {now.model}: {now.what}", flush=True)
