"""What the experiments share: whose recordings, runs over several seeds, and the ledger of who looked at which test.

    JAXRESP_RECORDINGS   folder with icbhi/, sprsound/ and kauh/ in it, as `jaxresp data fetch` leaves them; by default
                         recordings/. An experiment whose corpus is not there says so and ends well.
    JAXRESP_WORK         where datasets, trials and Classifiers are kept; by default work/. The same command continues.

Settings are chosen on training patients (choosing.py), which reads no test. `look` is the one way to a test side: it
first appends to ledger.jsonl which commit reads which test of which corpus with what configuration, and for the how
manyth time. Runs of users (`jaxresp run`) write no ledger: it is about tests that this project publishes numbers of.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from seeds import seeds_together
from studying import Setting, studied

from jaxresp.allocator import keep_freed
from jaxresp.compilation import use_persistent_cache
from jaxresp.corpus import Corpus, load, prepare
from jaxresp.corpus.recordings import corpus_identity
from jaxresp.evaluate import report
from jaxresp.evaluate.result import Result
from jaxresp.evaluate.sides import Side
from jaxresp.files import sha256, write_whole
from jaxresp.material import Material

LEDGER = Path(__file__).parent / "results" / "ledger.jsonl"


def corpus(name: str) -> Corpus:
    """A publisher's corpus, prepared once; ends the experiment where it is not there."""
    keep_freed()
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


def look(
    experiment: str, whole: Corpus, setting: Setting, seeds: Sequence[int], **also: Any
) -> tuple[list[tuple[Result, ...]], dict[str, dict[str, Side]]]:
    """Train with every seed, and read what the split tests. Entered in the ledger before it is read.

    Args:
        experiment: its name; of the work folder too.
        whole: the corpus.
        setting: of every run but the seed.
        seeds: of the runs.
        also: what else is decided before the test is read, for the ledger.

    Returns:
        the results of each seed; and of every model, where there are several seeds, what they reach together.
    """
    enter(experiment, whole, setting.config.split, setting.to_json() | {"seeds": list(seeds)} | also)
    material = Material(whole)
    folders = {seed: seed_folder(experiment, seed) for seed in seeds}
    runs = [
        studied(material, folder, replace(setting, config=replace(setting.config, seed=seed)), shown)
        for seed, folder in folders.items()
    ]
    several = runs[0] if len(seeds) > 1 else ()
    together = {
        result.name: seeds_together(material, result, [folder / "models" / result.name for folder in folders.values()])
        for result in several
    }
    return runs, together


def seed_folder(experiment: str, seed: int) -> Path:
    """Where a look keeps the study of a seed."""
    return work() / "experiments" / experiment / f"seed-{seed}"


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


def shown(model: str, what: str, done: float) -> None:
    """Progress, one line each."""
    print(f"{datetime.now():%H:%M:%S} {done:4.0%} {model}: {what}", flush=True)
