"""How one network is fitted."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from jaxresp.balance import Balance
from jaxresp.errors import JaxrespError

Schedule = Literal["constant", "cosine"]
Precision = Literal["float32", "bfloat16"]


class InvalidTraining(JaxrespError):
    """Settings of a training that make no sense."""


@dataclass(frozen=True)
class TrainConfig:
    """How one network is fitted.

    Attributes:
        learning_rate: of Adam (Kingma & Ba, ICLR 2015); 1e-3 is its default. The highest one of a schedule.
        schedule: "constant"; or "cosine", which falls to nothing over `max_epochs` (Loshchilov & Hutter, ICLR 2017).
        warmup_epochs: epochs over which the learning rate first rises evenly; 0, since Adam at 1e-3 starts well here.
        dropout: probability that a dense unit is zeroed.
        weight_decay: decoupled (Loshchilov & Hutter, ICLR 2019); small, the corpora are small.
        label_smoothing: share of every label that is spread over all classes (Szegedy et al., CVPR 2016); 0, because
            what comes out is calibrated afterwards, 0.1 is usual.
        clip_norm: longest gradient, all parameters together (Pascanu et al., ICML 2013); None, nothing here explodes.
        precision: of matrix products and convolutions while training: "bfloat16" is faster on accelerators, and no
            faster on most CPUs. Parameters, optimiser, statistics and losses stay float32, and so do all answers.
        batch_size: windows per step; the original project's 32.
        max_epochs: passes over the training windows at most; the original project's 50.
        patience: epochs without a lower validation loss before stopping; the original project's 5.
        balance: what is done about rare classes; see jaxresp.balance.Balance.
        mixup: α of the Beta(α, α) by which two windows of a batch and their labels are blended (Zhang et al., ICLR
            2018); 0 is off, 0.2 usual.
        time_mask: widest of two masks over frames, as a share of them (SpecAugment: Park et al., Interspeech 2019); 0
            is off, at 0.1 the two hide at most a second of five.
        frequency_mask: the same over coefficients: for mel bands, neighbouring cepstral coefficients are no band; 0 is
            off, 0.15 hides a wheeze alone.
        seed: initial weights, order, dropout, mixup, masks, SMOTE.

    Raises:
        InvalidTraining: a setting makes no sense; names it.
    """

    learning_rate: float = 1e-3
    schedule: Schedule = "constant"
    warmup_epochs: float = 0.0
    dropout: float = 0.3
    weight_decay: float = 1e-4
    label_smoothing: float = 0.0
    clip_norm: float | None = None
    precision: Precision = "float32"
    batch_size: int = 32
    max_epochs: int = 50
    patience: int = 5
    balance: Balance = "class_weights"
    mixup: float = 0.0
    time_mask: float = 0.0
    frequency_mask: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < math.inf:
            raise InvalidTraining(f"learning_rate must be positive and finite, got {self.learning_rate}")
        for name in ("dropout", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise InvalidTraining(f"{name} is a share below 1, got {getattr(self, name)}")
        for name in ("time_mask", "frequency_mask"):
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidTraining(f"{name} is a share between 0 and 1, got {getattr(self, name)}")
        for name in ("weight_decay", "mixup"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InvalidTraining(f"{name} is a number from 0 up, got {getattr(self, name)}")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise InvalidTraining(f"clip_norm must be positive, or None for no clipping; got {self.clip_norm}")
        if min(self.batch_size, self.max_epochs, self.patience) < 1:
            raise InvalidTraining("batch_size, max_epochs and patience must be at least 1")
        if not 0 <= self.warmup_epochs < self.max_epochs:
            raise InvalidTraining(
                f"warmup_epochs lies between 0 and below max_epochs ({self.max_epochs}), got {self.warmup_epochs}"
            )
        if self.mixup > 0 and self.batch_size < 2:
            raise InvalidTraining("mixup blends two windows of a batch; give a batch_size of at least 2")
        for name, choices in (
            ("balance", get_args(Balance)),
            ("schedule", get_args(Schedule)),
            ("precision", get_args(Precision)),
        ):
            if getattr(self, name) not in choices:
                raise InvalidTraining(f"{name} is one of {', '.join(choices)}, got {getattr(self, name)!r}")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
