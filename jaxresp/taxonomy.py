"""What is predicted: the shared vocabulary of all corpora, the tasks, and how a published label becomes a class."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int32

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

DIAGNOSIS_GROUP: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(("Healthy",), "normal")
    # Obstructed airways; with a second disease too, since that does not make them wider.
    | dict.fromkeys(("Asthma", "COPD", "Asthma and lung fibrosis", "Heart failure and COPD"), "obstructive")
    | dict.fromkeys(("Bronchiectasis", "Bronchiolitis", "LRTI", "Pneumonia", "URTI"), "other")
    | dict.fromkeys(
        ("Bronchitis", "Heart failure", "Heart failure and lung fibrosis", "Lung fibrosis", "Pleural effusion"), "other"
    )
)
"""Every diagnosis of every corpus, in our spelling → normal, obstructive or other.

KAUH's are those of Fraiwan et al., "A dataset of lung sounds recorded from the chest wall using an electronic
stethoscope", Data in Brief 35, 2021.
"""

SOUNDS = ("normal", "crackle", "wheeze", "both")
"""What is heard, in words that all corpora share: discontinuous (crackle), continuous (wheeze) adventitious sounds."""

#: SPRSound's labels (Zhang et al., "SPRSound: Open-Source SJTU Paediatric Respiratory Sound Database", IEEE Trans.
#: Biomed. Circuits Syst. 16, 2022) → ours.
SPRSOUND_RECORD_LABELS: Mapping[str, str] = MappingProxyType(
    {"Normal": "normal", "CAS": "wheeze", "DAS": "crackle", "CAS & DAS": "both", "Poor Quality": "poor quality"}
)
_SPRSOUND_EVENTS = {
    "Normal": "normal",
    "Rhonchi": "wheeze",
    "Wheeze": "wheeze",
    "Stridor": "wheeze",
    "Coarse Crackle": "crackle",
    "Fine Crackle": "crackle",
    "Wheeze+Crackle": "both",
}
SPRSOUND_EVENTS = tuple(_SPRSOUND_EVENTS)

#: KAUH's sounds: I inspiratory, E expiratory, W wheeze, C crackles, Crep crepitations (another word for crackles),
#: N normal. What the B of "I C B" stands for is not said. Bronchial breathing is neither a crackle nor a wheeze.
KAUH_SOUNDS: Mapping[str, str] = MappingProxyType(
    {
        "N": "normal",
        "E W": "wheeze",
        "I E W": "wheeze",
        "C": "crackle",
        "Crep": "crackle",
        "I C": "crackle",
        "I C B": "crackle",
        "I C E W": "both",
        "Bronchial": "bronchial",
    }
)

SOUND_OF: Mapping[str, str] = MappingProxyType(
    {**{sound: sound for sound in SOUNDS}, **_SPRSOUND_EVENTS, **SPRSOUND_RECORD_LABELS, **KAUH_SOUNDS}
)
"""Any publisher's word for a sound → one of SOUNDS, or "poor quality" or "bronchial", which stand apart."""

Unit = Literal["cycle", "event", "recording", "patient"]
Reads = Literal["diagnosis", "sound_label", "sound", "annotations"]


class UnknownTask(JaxrespError):
    """No task has this name."""


class UnknownClass(JaxrespError):
    """A class that the task does not have."""


class UnknownLabel(JaxrespError):
    """A published label that the task has no class for."""


@dataclass(frozen=True)
class Task:
    """One question put to a sound.

    Attributes:
        name: the name used on the command line and in config.json.
        unit: what gets one answer; window logits are pooled to it.
        classes: class names in the order of the probabilities. With two classes the second is the positive one.
        label_of: label → class. A label that is read and missing from it is an error; `knows` tells beforehand.
        reads: what the label is. "diagnosis": the patient's. "sound_label": the recording's, in the publisher's words.
            "sound": the recording's, in the words of SOUNDS. "annotations": each cycle's or event's.
    """

    name: str
    unit: Unit
    classes: tuple[str, ...]
    label_of: Mapping[str, str]
    reads: Reads = "diagnosis"

    def __post_init__(self) -> None:
        strangers = sorted(set(self.label_of.values()) - set(self.classes))
        if strangers or len(set(self.classes)) != len(self.classes) or len(self.classes) < 2:
            raise ValueError(f"task {self.name!r}: classes {self.classes} do not fit label_of's values {strangers}")
        if self.labels_intervals != (self.reads == "annotations"):
            raise ValueError(f"task {self.name!r}: labels of {self.reads} are not labels of a {self.unit}")
        object.__setattr__(self, "label_of", MappingProxyType(dict(self.label_of)))

    @property
    def labels_intervals(self) -> bool:
        """Whether every annotated interval gets an answer, rather than every recording or patient."""
        return self.unit in ("cycle", "event")

    @property
    def row(self) -> str:
        """What has one label: a cycle or an event, else a recording (a patient's too; all of his have the same)."""
        return self.unit if self.labels_intervals else "recording"

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
                f"it knows {', '.join(self.label_of)}. Leave those out, or choose a task that fits the corpus"
            )
        index = {name: i for i, name in enumerate(self.classes)}
        return np.array([index[self.label_of[label]] for label in labels], dtype=np.int32)

    def knows(self, labels: Iterable[str]) -> Bool[np.ndarray, " n"]:
        """Which of some published labels have a class in this task."""
        return np.array([label in self.label_of for label in labels], dtype=np.bool_)


def _grouped(chronic: Iterable[str], infection: Iterable[str]) -> dict[str, str]:
    return {"Healthy": "Normal"} | dict.fromkeys(chronic, "Chronic") | dict.fromkeys(infection, "Infection")


BINARY = Task(
    name="binary",
    unit="recording",
    classes=("Normal", "Abnormal"),
    label_of={d: "Normal" if group == "normal" else "Abnormal" for d, group in DIAGNOSIS_GROUP.items()},
)

#: The groups that adult corpora share (KAUH's own question; there 15 to 90 years).
OBSTRUCTIVE = Task(
    name="obstructive", unit="recording", classes=("normal", "obstructive", "other"), label_of=DIAGNOSIS_GROUP
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

#: Sounds in shared words, of recordings and of cycles or events, from any corpus.
SOUND = Task(name="sound", unit="recording", classes=SOUNDS, label_of={s: s for s in SOUNDS}, reads="sound")
_HEARD = {label: sound for label, sound in SOUND_OF.items() if sound in SOUNDS}

#: ICBHI 2017's challenge: a cycle is normal or has crackles, wheezes or both; or, of two classes, is normal or not.
CYCLES = Task(name="cycles", unit="cycle", classes=SOUNDS, label_of=_HEARD, reads="annotations")
CYCLES_BINARY = Task(
    name="cycles-binary",
    unit="cycle",
    classes=("normal", "abnormal"),
    label_of={label: "normal" if sound == "normal" else "abnormal" for label, sound in _HEARD.items()},
    reads="annotations",
)

#: SPRSound's tasks (the BioCAS challenges of 2022 and 2023; Zhang et al., "Grand challenge on respiratory sound
#: classification", IEEE BioCAS, 2022): 1-1 and 1-2 of events, 2-1 and 2-2 of recordings.
SPRSOUND_1_1 = Task(
    name="sprsound-1-1",
    unit="event",
    classes=("Normal", "Adventitious"),
    label_of={label: "Normal" if label == "Normal" else "Adventitious" for label in SPRSOUND_EVENTS},
    reads="annotations",
)
SPRSOUND_1_2 = Task(
    name="sprsound-1-2",
    unit="event",
    classes=SPRSOUND_EVENTS,
    label_of={label: label for label in SPRSOUND_EVENTS},
    reads="annotations",
)
SPRSOUND_2_1 = Task(
    name="sprsound-2-1",
    unit="recording",
    classes=("Normal", "Adventitious", "Poor Quality"),
    label_of={
        label: label if label in ("Normal", "Poor Quality") else "Adventitious" for label in SPRSOUND_RECORD_LABELS
    },
    reads="sound_label",
)
SPRSOUND_2_2 = Task(
    name="sprsound-2-2",
    unit="recording",
    classes=tuple(SPRSOUND_RECORD_LABELS),
    label_of={label: label for label in SPRSOUND_RECORD_LABELS},
    reads="sound_label",
)

TASKS: Mapping[str, Task] = MappingProxyType(
    {
        task.name: task
        for task in (
            BINARY,
            MULTICLASS,
            MULTICLASS_LITERATURE,
            DIAGNOSIS,
            OBSTRUCTIVE,
            SOUND,
            CYCLES,
            CYCLES_BINARY,
            SPRSOUND_1_1,
            SPRSOUND_1_2,
            SPRSOUND_2_1,
            SPRSOUND_2_2,
        )
    }
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
