"""`jaxresp audit`: what each common fault of measurement would add."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("prepared", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--task", default="binary", help="Such as binary, multiclass or cycles.")
@click.option("--features", default="logmel", help="mfcc, logmel or augmented.")
@click.option("--faults", multiple=True, help="A fault by name; give it again for more.  [default: all possible]")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where answers and findings are kept; the same folder continues.  [default: audit-NAME-TASK-FEATURES here]",
)
@click.option("--band", default="wide", help="What is heard: wide, 50–5000 Hz; or common, 50–1800 Hz.")
@click.option("--folds", default=3, help="Patient-disjoint folds.")
@click.option("--epochs", default=50, help="Most epochs of one training.")
@click.option("--filters", default=16, help="Filters of the first block.")
@click.option("--dense", default=128, help="Units of the dense layer.")
@click.option("--dropout", default=0.3)
@click.option("--learning-rate", default=1e-3)
@click.option("--copies", default=3, help="Augmented copies of each window, where the protocol has them.")
@click.option("--overlap", default=0.25, help="Share of the patients with several recordings left on both sides.")
@click.option("--seed", default=0, help="Of folds, copies, weights and intervals.")
def audit(prepared: Path, faults: tuple[str, ...], out: Path | None, **options: Any) -> None:
    """What common faults would add to a score on a PREPARED dataset.

    The same network, untuned, under the honest protocol and under each fault: split by recording, overlapping patients,
    augmentation or SMOTE before the split, epoch chosen on the test side, normalisation fitted on all, a lenient
    sensitivity. Nothing it trains is kept.
    """
    from rich.console import Console

    from jaxresp import corpus
    from jaxresp.allocator import keep_freed
    from jaxresp.audit import audit as run_audit
    from jaxresp.audit.printing import print_audit
    from jaxresp.compilation import use_persistent_cache
    from jaxresp.display import plain, progress_display

    config = _config(**options)
    keep_freed()
    use_persistent_cache()
    loaded = corpus.load(prepared)
    folder = out or Path(f"audit-{loaded.name}-{config.task}-{config.features}")
    console = Console()
    with progress_display(console) as listener:
        found = run_audit(loaded, folder, config, faults=faults, progress=plain(listener))
    print_audit(console, found)
    click.echo(f"audit.md, audit.json and all answers: {folder}")


def _config(*, folds: int, epochs: int, dropout: float, learning_rate: float, overlap: float, **more: Any) -> Any:
    from jaxresp.audit import AuditConfig
    from jaxresp.train import TrainConfig

    training = TrainConfig(max_epochs=epochs, dropout=dropout, learning_rate=learning_rate)
    return AuditConfig(n_folds=folds, overlap_share=overlap, training=training, **more)
