"""The most memory that training on a corpus of ICBHI's size takes on a CPU, step by step of the way.

    python experiments/benchmarks/memory.py [--prepared DIR] [--features NAME] [--epochs 2] [--write FILE]

One child process goes the whole way: the prepared corpus is loaded (920 recordings, 5.5 h, 16 kHz), the features of all
5-s windows are computed (with three augmented variants each, for a front end that augments), and a network is trained
on one fold of patients for a number of epochs, with checkpoints. What is printed is the highest resident memory so far,
after each step; libraries are in it. Expected: some five minutes on two cores, of which two make the corpus; give a
prepared directory to leave that out. The bound that the project sets itself: 4 GB.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

BOUND_GB = 4.0


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e9 if sys.platform == "darwin" else 1e6)


def go(prepared: Path, features: str, epochs: int, filters: int) -> list[tuple[str, float]]:
    """The whole way in this process: what was done, and the peak after it in GB."""
    from jaxresp.allocator import keep_freed
    from jaxresp.corpus import load
    from jaxresp.features import build_bank
    from jaxresp.frontend import frontend_named
    from jaxresp.models import NetworkConfig
    from jaxresp.splits import make_split
    from jaxresp.taxonomy import task_named
    from jaxresp.train import TrainConfig, fit
    from jaxresp.window import WindowConfig

    keep_freed()  # as the commands that train do
    told = [("libraries", peak_gb())]
    corpus = load(prepared)
    told.append((f"corpus loaded: {len(corpus)} recordings, {corpus.samples.nbytes / 1e6:,.0f} MB", peak_gb()))
    task, frontend = task_named("binary"), frontend_named(features)()
    bank = build_bank(corpus, frontend, WindowConfig(), variants=3 * frontend.augments)
    shape = "×".join(map(str, bank.features.shape))
    told.append((f"features of {frontend.name}: {shape}, {bank.features.nbytes / 1e6:,.0f} MB", peak_gb()))
    labels = corpus.labels(task)
    fold = make_split("folds", corpus, task).folds[0]
    with tempfile.TemporaryDirectory() as folder:
        fit(
            bank,
            labels,
            task,
            NetworkConfig("cnn2d", filters=filters),
            TrainConfig(max_epochs=epochs),
            train=fold.train,
            validation=fold.validation,
            on_epoch=lambda epoch, losses: told.append((f"cnn2d of {filters} filters, epoch {epoch}", peak_gb())),
            checkpoint=Path(folder) / "fit.npz",
        )
    return told


def report(prepared: Path, features: str, epochs: int, filters: int) -> str:
    command = [sys.executable, __file__, "--measure", "--prepared", str(prepared)]
    command += ["--features", features, "--epochs", str(epochs), "--filters", str(filters)]
    told = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    lines = [
        "# Memory of training on a corpus of ICBHI's size, CPU",
        "",
        f"`python experiments/benchmarks/memory.py --features {features} --epochs {epochs} --filters {filters}`",
        "",
        f"jax {version('jax')}, made-up corpus; highest resident memory of the process so far, libraries included; "
        f"bound {BOUND_GB:g} GB",
        "",
        "| after | peak, GB |",
        "| --- | --- |",
        *(f"| {what} | {peak:.2f} |" for what, peak in told),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--prepared", type=Path)
    arguments.add_argument("--features", default="logmel")
    arguments.add_argument("--epochs", type=int, default=2)
    arguments.add_argument("--filters", type=int, default=16)
    arguments.add_argument("--write", type=Path, help="also into this file")
    arguments.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.measure:
        print(json.dumps(go(options.prepared, options.features, options.epochs, options.filters)))
        return
    with tempfile.TemporaryDirectory(prefix="jaxresp-benchmark-") as folder:
        if options.prepared is None:
            from jaxresp.corpus import prepare
            from jaxresp.synthetic.full_size import write_full_size

            options.prepared = prepare(write_full_size(Path(folder) / "icbhi"), Path(folder) / "data")
        table = report(options.prepared, options.features, options.epochs, options.filters)
    print(table, end="")
    if options.write:
        options.write.write_text(table)


if __name__ == "__main__":
    main()
