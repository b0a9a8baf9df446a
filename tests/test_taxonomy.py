"""Laws of tasks and their labels. The group sizes are those of the published ICBHI recordings."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxresp.taxonomy import BINARY, DIAGNOSES, MULTICLASS, TASKS, Task, UnknownLabel, UnknownTask, task_named

RECORDINGS = {
    "Asthma": 1, "Bronchiectasis": 16, "Bronchiolitis": 13, "COPD": 793,
    "Healthy": 35, "LRTI": 2, "Pneumonia": 37, "URTI": 23,
}  # fmt: skip

every = pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)


@every
@given(labels=st.lists(st.sampled_from(DIAGNOSES)))
def test_encoding_follows_the_table_and_leaves_the_labels_alone(task: Task, labels: list[str]) -> None:
    before = list(labels)
    encoded = task.encode(labels)
    assert encoded.dtype == np.int32
    assert [task.classes[i] for i in encoded] == [task.label_of[label] for label in labels]
    assert labels == before


@every
def test_every_diagnosis_has_a_class_and_every_class_a_diagnosis(task: Task) -> None:
    assert set(task.label_of) == set(DIAGNOSES)
    assert set(task.label_of.values()) == set(task.classes)
    assert task.is_binary == (len(task.classes) == 2)
    assert task.n_outputs == (1 if task.is_binary else len(task.classes))


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("binary", {"Normal": 35, "Abnormal": 885}),
        ("multiclass", {"Normal": 35, "Chronic": 794, "Infection": 91}),
        ("multiclass-literature", {"Normal": 35, "Chronic": 810, "Infection": 75}),
        ("diagnosis", RECORDINGS),
    ],
)
def test_group_sizes_on_all_published_recordings(name: str, sizes: dict[str, int]) -> None:
    task = task_named(name)
    labels = task.encode([d for d, n in RECORDINGS.items() for _ in range(n)])
    assert dict(zip(task.classes, np.bincount(labels).tolist(), strict=True)) == sizes


def test_the_groupings_differ_in_bronchiectasis_alone() -> None:
    literature = task_named("multiclass-literature").label_of
    assert {d for d in DIAGNOSES if MULTICLASS.label_of[d] != literature[d]} == {"Bronchiectasis"}


def test_every_unknown_label_is_named() -> None:
    with pytest.raises(UnknownLabel, match=r"'Tuberculosis', 'healthy'.*Healthy"):
        BINARY.encode(["COPD", "healthy", "Tuberculosis", "healthy"])


@pytest.mark.parametrize(("wrong", "meant"), [("binray", "binary"), ("multi-class", "multiclass")])
def test_an_unknown_task_names_the_nearest_and_all(wrong: str, meant: str) -> None:
    with pytest.raises(UnknownTask, match=f"Did you mean '{meant}'") as error:
        task_named(wrong)
    assert all(name in str(error.value) for name in TASKS)


@pytest.mark.parametrize(
    ("classes", "label_of"),
    [
        (("a", "b"), {"x": "c"}),  # a label for a class that is not there
        (("a", "a"), {"x": "a"}),  # one class twice
        (("a",), {"x": "a"}),  # nothing to tell apart
    ],
)
def test_an_impossible_task_cannot_be_made(classes: tuple[str, ...], label_of: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="task 'wrong'"):
        Task("wrong", "recording", classes, label_of)


@every
def test_a_task_cannot_be_changed(task: Task) -> None:
    with pytest.raises(TypeError):
        task.label_of["COPD"] = task.classes[0]  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.classes = ("x", "y")  # type: ignore[misc]


def test_a_task_keeps_the_table_it_was_given() -> None:
    table = {"x": "a", "y": "b"}
    task = Task("own", "recording", ("a", "b"), table)
    table["x"] = "b"
    assert task.encode(["x", "y"]).tolist() == [0, 1]
