"""What is predicted: the tasks, their classes, and how a published label becomes one of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from jaxtyping import Int32

from jaxresp.errors import JaxrespError

#: The diagnoses of ICBHI 2017 (Rocha et al., "An open access database for the evaluation of respiratory
#: sound classification algorithms", Physiol. Meas. 40, 2019), in the publisher's spelling.
DIAGNOSES = (
    "Asthma",
    "Bronchiectasis",
    "Bronchiolitis",
    "COPD",
    "Healthy",
    "LRTI",
    "Pneumonia",
    "URTI",
)

Unit = Literal["cycle", "recording", "patient"]


class UnknownTask(JaxrespError):
    """No task has this name."""


class UnknownLabel(JaxrespError):
    """A published label that the task has no class for."""


@dataclass(frozen=True)
class Task:
    """One question put to a sound.

    Attributes:
        name: the name used on the command line and in config.json.
        unit: what gets one answer; window logits are pooled to it.
        classes: class names in the order of the probabilities. With two classes the second is the positive one.
        label_of: published label → class. A label may be missing from it only by mistake: that is an error.
    """

    name: str
    unit: Unit
    classes: tuple[str, ...]
    label_of: Mapping[str, str]

    def __post_init__(self) -> None:
        strangers = sorted(set(self.label_of.values()) - set(self.classes))
        if strangers or len(set(self.classes)) != len(self.classes) or len(self.classes) < 2:
            raise ValueError(f"task {self.name!r}: classes {self.classes} do not fit label_of's values {strangers}")
        object.__setattr__(self, "label_of", MappingProxyType(dict(self.label_of)))

    @property
    def is_binary(self) -> bool:
        """Two classes, answered by one logit through a sigmoid."""
        return len(self.classes) == 2

    @property
    def n_outputs(self) -> int:
        """Network outputs: one logit for two classes, else one logit per class."""
        return 1 if self.is_binary else len(self.classes)

    def encode(self, labels: Iterable[str]) -> Int32[np.ndarray, " n"]:
        """Published labels → class indices, in a new array (the labels are never changed).

        Raises:
            UnknownLabel: naming every label that has no class in this task.
        """
        labels = list(labels)
        unknown = sorted({label for label in labels if label not in self.label_of})
        if unknown:
            raise UnknownLabel(
                f"task {self.name!r} has no class for {', '.join(map(repr, unknown))}; "
                f"it knows {', '.join(self.label_of)}"
            )
        index = {name: i for i, name in enumerate(self.classes)}
        return np.array([index[self.label_of[label]] for label in labels], dtype=np.int32)


def _grouped(chronic: Iterable[str], infection: Iterable[str]) -> dict[str, str]:
    return {"Healthy": "Normal"} | dict.fromkeys(chronic, "Chronic") | dict.fromkeys(infection, "Infection")


BINARY = Task(
    name="binary",
    unit="recording",
    classes=("Normal", "Abnormal"),
    label_of={d: "Normal" if d == "Healthy" else "Abnormal" for d in DIAGNOSES},
)

#: The original project's grouping: Bronchiectasis with the infections (794 / 91 / 35 recordings).
MULTICLASS = Task(
    name="multiclass",
    unit="recording",
    classes=("Normal", "Chronic", "Infection"),
    label_of=_grouped(
        chronic=("COPD", "Asthma"),
        infection=("URTI", "LRTI", "Bronchiolitis", "Pneumonia", "Bronchiectasis"),
    ),
)

#: The literature's grouping: Bronchiectasis is a chronic disease (810 / 75 / 35 recordings).
MULTICLASS_LITERATURE = Task(
    name="multiclass-literature",
    unit="recording",
    classes=("Normal", "Chronic", "Infection"),
    label_of=_grouped(
        chronic=("COPD", "Asthma", "Bronchiectasis"),
        infection=("URTI", "LRTI", "Bronchiolitis", "Pneumonia"),
    ),
)

DIAGNOSIS = Task(name="diagnosis", unit="recording", classes=DIAGNOSES, label_of={d: d for d in DIAGNOSES})

TASKS: Mapping[str, Task] = MappingProxyType(
    {task.name: task for task in (BINARY, MULTICLASS, MULTICLASS_LITERATURE, DIAGNOSIS)}
)


def task_named(name: str) -> Task:
    """The task of that name.

    Raises:
        UnknownTask: with the nearest name.
    """
    if name in TASKS:
        return TASKS[name]
    near = difflib.get_close_matches(name, TASKS, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise UnknownTask(f"there is no task {name!r}; choose from {', '.join(TASKS)}.{hint}")
