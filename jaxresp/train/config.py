"""How one network is fitted."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, get_args

from jaxresp.balance import Balance


@dataclass(frozen=True)
class TrainConfig:
    """How one network is fitted.

    Attributes:
        learning_rate: of Adam (Kingma & Ba, ICLR 2015); 1e-3 is its default.
        dropout: probability that a dense unit is zeroed.
        weight_decay: decoupled (Loshchilov & Hutter, ICLR 2019); small, the corpora are small.
        batch_size: windows per step; the original project's 32.
        max_epochs: passes over the training windows at most; the original project's 50.
        patience: epochs without a lower validation loss before stopping; the original project's 5.
        balance: "class_weights", "smote", or "none".
        seed: initial weights, order, dropout, SMOTE.
    """

    learning_rate: float = 1e-3
    dropout: float = 0.3
    weight_decay: float = 1e-4
    batch_size: int = 32
    max_epochs: int = 50
    patience: int = 5
    balance: Balance = "class_weights"
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be positive, got {self.learning_rate}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is a probability below 1, got {self.dropout}")
        if min(self.batch_size, self.max_epochs, self.patience) < 1:
            raise ValueError("batch_size, max_epochs and patience must be at least 1")
        if self.balance not in get_args(Balance):
            raise ValueError(f"balance is one of {', '.join(get_args(Balance))}, got {self.balance!r}")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
