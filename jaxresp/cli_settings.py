"""What several commands share: kinds of paths, and what a training can be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
SOURCE = click.Path(exists=True, path_type=Path)
NEW = click.Path(file_okay=False, path_type=Path)

BALANCES = ("class_weights", "balanced_sampling", "oversampling", "smote", "none")
SCHEDULES = ("constant", "cosine")
PRECISIONS = ("float32", "bfloat16")


def training_options(command: Any) -> Any:
    """Options of `jaxresp train`; `settings_of` reads them."""
    for option in (
        click.option(
            "--precision", type=click.Choice(PRECISIONS), default="float32", help="Of products, while it trains."
        ),
        click.option("--clip-norm", type=float, help="Longest gradient.  [default: as it is]"),
        click.option(
            "--mask",
            type=(float, float),
            default=(0.0, 0.0),
            metavar="TIME FREQUENCY",
            help="Widest of two masks over frames and of two over mel bands, as shares; such as 0.1 0.15.",
        ),
        click.option(
            "--mixup", default=0.0, help="Windows are blended in pairs: α of Beta(α, α), such as 0.2; 0 is off."
        ),
        click.option("--label-smoothing", default=0.0, help="Share of a label that is spread over all classes."),
        click.option("--weight-decay", default=1e-4),
        click.option("--dropout", default=0.3, help="Of the dense layer."),
        click.option("--warmup", "warmup_epochs", default=0.0, help="Epochs over which the learning rate first rises."),
        click.option("--schedule", type=click.Choice(SCHEDULES), default="constant", help="Of the learning rate."),
        click.option("--learning-rate", default=1e-3, help="Of Adam; the highest of a schedule."),
    ):
        command = option(command)
    return command


def settings_of(options: dict[str, Any]) -> dict[str, Any]:
    """Those of the options that are settings of TrainConfig, taken out of them."""
    names = (
        "learning_rate", "schedule", "warmup_epochs", "dropout", "weight_decay", "label_smoothing", "clip_norm",
        "precision", "balance", "mixup",
    )  # fmt: skip
    settings = {name: options.pop(name) for name in names if name in options}
    if "mask" in options:
        settings["time_mask"], settings["frequency_mask"] = options.pop("mask")
    return settings
