"""KAUH: normal against abnormal, and normal / obstructive / other, by cross-validation over patients.

    python experiments/kauh_cross_validation.py [--seeds 5]

112 adults at 4 kHz, each in three filterings that stay on one side. Every patient is tested once per seed; seeds draw
other folds too. Expected time: 11 minutes on two shared cores for the E filtering (110 recordings), without the common
band, which adds a fit per fold.
Expected number: not yet run on all of it. On the 110 recordings of the E filtering, five seeds, mean balanced accuracy
(and Student's interval over seeds; ends of the patients' intervals): normal or abnormal .694 [.602-.786; .474-.827],
age alone .587 to .663; normal, obstructive or other .453 [.367-.539; .277-.611], age alone .398 to .525. The five as
one, by the mean of their logits: .705 [.61-.79] and .524 [.43-.61] over patients.
"""

from __future__ import annotations

import argparse

from looking import corpus, look, write
from seeds import over_seeds
from studying import Setting

from jaxresp.run_config import RunConfig
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
