"""ICBHI's diagnoses from all of its 920 recordings, in the band that every stethoscope records.

    python experiments/icbhi_diagnosis.py [--seeds 5]

Three ways to divide the same patients: cross-validation over all of them, the children with a single channel (the least
confounded cohort), and the official split without its overlap. Read no number without what the metadata reaches beside
it: each run's report.md, below JAXRESP_WORK/experiments, has both.

Expected time: 3 hours on two cores for five seeds (estimated from steps, not run).
Expected number: not yet run on all 920 recordings.
"""

from __future__ import annotations

import argparse

from looking import corpus, look, write
from seeds import over_seeds
from studying import Setting

from jaxresp.run_config import RunConfig
from jaxresp.splits import SplitError
from jaxresp.train import TrainConfig

NAME = "icbhi_diagnosis"
#: Among the children nobody has a chronic disease, so that only the question of two classes can be asked.
ASKED = {
    "folds": ("binary", "multiclass"),
    "children-single-channel": ("binary",),
    "icbhi-official-corrected-train": ("binary", "multiclass"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=50)
    options = parser.parse_args()
    whole = corpus("icbhi")
    told = []
    for split, tasks in ASKED.items():
        training = TrainConfig(max_epochs=options.epochs)
        config = RunConfig(tasks=tasks, features=("logmel",), band="common", split=split, n_trials=1, training=training)
        try:
            found = look(f"{NAME}-{split}", whole, Setting(config), range(options.seeds))
            told.append(f"{split}\n\n{over_seeds(*found)}")
        except SplitError as error:  # a subset may lack the patients: said in the result
            told.append(f"{split}\n\nnot possible on these recordings: {error}")
    write(NAME, "\n\n".join(told), whole)


if __name__ == "__main__":
    main()
