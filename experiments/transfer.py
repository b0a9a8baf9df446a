"""Trained on one corpus, tested on another: what is heard ("sound"), and normal against abnormal ("binary").

    python experiments/transfer.py [--seed 0] [--epochs 30]

Corpora meet in shared words (jaxresp/taxonomy.py). Recordings whose label the question has no class for, such as poor
quality, are left out and counted. The numbers carry their intervals over patients, and what the tested corpus's own
metadata reaches. Expected time: 30 minutes on two cores with whole corpora (estimated, not run).
Expected number: not yet run on whole corpora.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict

from looking import corpus, enter, shown, work, write

from jaxresp.classifier import Classifier
from jaxresp.evaluate.held_out import evaluate_held_out, lines
from jaxresp.run import run
from jaxresp.run_config import RunConfig
from jaxresp.train import TrainConfig

NAME = "transfer"
#: task, trained on, tested on. SPRSound tells no diagnosis.
PAIRS = (
    ("sound", "sprsound", ("icbhi", "kauh")),
    ("binary", "icbhi", ("kauh",)),
    ("binary", "kauh", ("icbhi",)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args()
    told, corpora = [], {name: corpus(name) for name in ("icbhi", "kauh", "sprsound")}
    for task, source, targets in PAIRS:
        training = TrainConfig(max_epochs=options.epochs)
        config = RunConfig(
            tasks=(task,), features=("logmel",), band="common", n_trials=1, seed=options.seed, training=training
        )
        whole = corpora[source]
        folder = work() / "experiments" / f"{NAME}-{task}-{source}"
        run(whole, folder, config, progress=lambda now: shown(now.model, now.what, now.done))
        classifier = Classifier.load(folder / "classifiers" / f"{task}-logmel")
        for target in targets:
            other = corpora[target]
            enter(f"{NAME}-{task}-{source}", other, f"all of {target}", asdict(config))
            told.append("\n\n".join(lines(classifier, other, evaluate_held_out(classifier, other, seed=options.seed))))
    write(NAME, "\n\n---\n\n".join(told), *corpora.values())


if __name__ == "__main__":
    main()
