"""SPRSound's challenge tasks on its official tests: events 1-1 and 1-2, recordings 2-1 and 2-2.

    python experiments/sprsound_official.py --choose [--task sprsound-2-2 …] [--setting NAME …] [--folds 1]
    python experiments/sprsound_official.py [--task sprsound-2-2 …] [--seeds 5]       reads the tests; see the ledger

Settings are chosen on training patients alone, task by task, of SETTINGS; what was chosen stands in CHOSEN. Each fold
of `--choose` (of four) and each seed of a look is kept when it is done, and the same command continues. With several
seeds there is a further row: the mean of their calibrated logits, for which nothing is trained.

The headline is the inter-patient test (355 recordings of 41 children whom nobody trained on). The 379 of the
intra-patient test are of children who also train, and the combined 734 stand beside it to be compared with the best
published: task 2-1 .745, task 2-2 .539 (arXiv 2303.04104; on which test recordings is not known). "Better" is said only
where the lower end of the interval over patients is above.

Expected time: TIME
Expected number: the tests were not yet read. Task 2-1, 8 filters, 12 epochs, one seed: .659 [.555-.737] on the 434
recordings of 63 training patients who validated, and who also chose the epoch.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from choosing import DEALT, choose, table
from looking import corpus, look, shown, training_side, work, write
from seeds import over_seeds
from studying import Setting

from jaxresp.material import Material
from jaxresp.run import RunConfig
from jaxresp.taxonomy import task_named
from jaxresp.train import TrainConfig

NAME = "sprsound_official"
TASKS = ("sprsound-2-1", "sprsound-2-2", "sprsound-1-1", "sprsound-1-2")
SCORE = "SPRSound Score"

#: 64 mel bands are 27 Hz wide below 1 kHz; the corpus holds little above 1800 Hz.
CONFIG = RunConfig(
    features=("logmel",),
    n_mels=64,
    split="sprsound-official",
    n_trials=1,
    filters=8,
    dense=64,
    training=TrainConfig(max_epochs=30, patience=5, dropout=0.3, balance="class_weights"),
)


def setting(network: Mapping[str, Any] | None = None, filters: int = CONFIG.filters, **training: Any) -> Setting:
    """CONFIG with some things changed."""
    config = replace(CONFIG, filters=filters, training=replace(CONFIG.training, **training))
    return Setting(config, dict(network or {}))


SETTINGS: dict[str, Setting] = {
    "plain": setting(),
    "wide": setting(filters=16),
    "no-weights": setting(balance="none"),
}

#: Task → name of its setting. Not yet chosen by --choose.
CHOSEN: dict[str, str] = dict.fromkeys(TASKS, "plain")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", action="append", choices=TASKS, help="by default all four, one after the other")
    parser.add_argument("--setting", action="append", choices=SETTINGS, help="to choose from, by default all")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--folds", type=int, default=1, choices=range(1, DEALT + 1), help=f"of {DEALT}, with --choose")
    parser.add_argument("--epochs", type=int, default=CONFIG.training.max_epochs, help="at most")
    parser.add_argument("--choose", action="store_true", help="try settings on training patients; reads no test")
    options = parser.parse_args()
    if options.setting and not options.choose:
        parser.error("the tests are read with the settings in CHOSEN, so that the commit tells which")
    whole = corpus("sprsound")
    material = Material(training_side(whole)) if options.choose else None
    for name in options.task or TASKS:
        if material is None:
            runs, together = look(
                f"{NAME}/{name}", whole, _of(CHOSEN[name], name, options.epochs), range(options.seeds)
            )
            write(f"{NAME}-{name.removeprefix('sprsound-')}", over_seeds(runs, together, SCORE), whole)
            continue
        settings = {each: _of(each, name, options.epochs) for each in options.setting or SETTINGS}
        folder = work() / "experiments" / NAME / "choose" / name
        tried = choose(material, folder, task_named(name), settings, n_folds=options.folds, score=SCORE, progress=shown)
        print(f"\n{name}, {options.folds} of {DEALT} folds of the training patients\n\n{table(tried, SCORE)}\n")


def _of(name: str, task: str, epochs: int) -> Setting:
    config = SETTINGS[name].config
    training = replace(config.training, max_epochs=epochs)
    return replace(SETTINGS[name], config=replace(config, tasks=(task,), training=training))


if __name__ == "__main__":
    main()
