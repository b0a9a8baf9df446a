"""KAUH: normal against abnormal, and normal / obstructive / other, by cross-validation over patients.

    python experiments/kauh_cross_validation.py [--seeds 5]

112 adults at 4 kHz, each in three filterings that stay on one side. Every patient is tested once per seed; seeds draw
other folds too. Expected time: 10 minutes on two cores (estimated). Expected number: not yet run on all of it.
"""

from __future__ import annotations

import argparse

from looking import corpus, look, write
from seeds import over_seeds
from studying import Setting

from jaxresp.run import RunConfig
from jaxresp.train import TrainConfig

NAME = "kauh_cross_validation"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args()
    whole = corpus("kauh")
    config = RunConfig(
        tasks=("binary", "obstructive"),
        features=("logmel",),
        n_trials=1,
        training=TrainConfig(max_epochs=options.epochs),
    )
    write(NAME, over_seeds(*look(NAME, whole, Setting(config), range(options.seeds))), whole)


if __name__ == "__main__":
    main()
