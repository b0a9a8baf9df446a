"""What a training may be told."""

from __future__ import annotations

import pytest
from jaxtyping import TypeCheckError

from jaxresp.errors import JaxrespError
from jaxresp.train import InvalidTraining, TrainConfig


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"learning_rate": float("inf")},
        {"schedule": "step"},
        {"warmup_epochs": -1.0},
        {"warmup_epochs": 50.0},
        {"warmup_epochs": float("nan")},
        {"dropout": 1.0},
        {"dropout": -0.1},
        {"weight_decay": -0.1},
        {"weight_decay": float("inf")},
        {"label_smoothing": 1.0},
        {"label_smoothing": -0.1},
        {"clip_norm": 0.0},
        {"clip_norm": float("nan")},
        {"precision": "float16"},
        {"batch_size": 0},
        {"max_epochs": 0},
        {"patience": 0},
        {"balance": "SMOTE"},
        {"mixup": -0.2},
        {"mixup": float("inf")},
        {"mixup": 0.2, "batch_size": 1},
        {"time_mask": 1.1},
        {"time_mask": float("nan")},
        {"frequency_mask": -0.1},
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_named(wrong: dict[str, object]) -> None:
    with pytest.raises((InvalidTraining, TypeCheckError), match=next(iter(wrong))):
        TrainConfig(**wrong)  # type: ignore[arg-type]


def test_a_users_mistake_is_one_of_ours() -> None:
    assert issubclass(InvalidTraining, JaxrespError)
