"""Laws of tasks and their labels. The group sizes are those of the published ICBHI recordings."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxresp.taxonomy import (
    BINARY,
    DIAGNOSES,
    DIAGNOSIS_GROUP,
    KAUH_SOUNDS,
    MULTICLASS,
    SOUND_OF,
    SOUNDS,
    SPRSOUND_EVENTS,
    SPRSOUND_RECORD_LABELS,
    TASKS,
    Task,
    UnknownLabel,
    UnknownTask,
    task_named,
)

RECORDINGS = {
    "Asthma": 1, "Bronchiectasis": 16, "Bronchiolitis": 13, "COPD": 793,
    "Healthy": 35, "LRTI": 2, "Pneumonia": 37, "URTI": 23,
}  # fmt: skip

every = pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)


@every
@settings(deadline=None)
@given(data=st.data())
def test_encoding_follows_the_table_and_leaves_the_labels_alone(task: Task, data: st.DataObject) -> None:
    labels = data.draw(st.lists(st.sampled_from(sorted(task.label_of))))
    before = list(labels)
    encoded = task.encode(labels)
    assert encoded.dtype == np.int32
    assert [task.classes[i] for i in encoded] == [task.label_of[label] for label in labels]
    assert labels == before
    assert task.knows(labels).all()
    assert not task.knows([f"{label}?" for label in labels]).any()


@every
def test_every_label_that_is_read_has_a_class_and_every_class_a_label(task: Task) -> None:
    words = {
        "diagnosis": DIAGNOSIS_GROUP,
        "sound_label": SPRSOUND_RECORD_LABELS,
        "sound": SOUNDS,
        "annotations": {*SOUNDS, *SPRSOUND_EVENTS, *SPRSOUND_RECORD_LABELS, *KAUH_SOUNDS},
    }[task.reads]
    assert set(task.label_of) <= set(words)
    if task.reads == "diagnosis":
        assert set(task.label_of) >= set(DIAGNOSES)
    assert set(task.label_of.values()) == set(task.classes)
    assert task.is_binary == (len(task.classes) == 2)
    assert task.n_outputs == (1 if task.is_binary else len(task.classes))


def test_a_word_for_a_sound_means_the_same_wherever_it_is_read() -> None:
    """Every table of words agrees with the one that joins them, so no word means one thing here and another there."""
    for table in (SPRSOUND_RECORD_LABELS, KAUH_SOUNDS, dict(zip(SOUNDS, SOUNDS, strict=True))):
        assert {word: SOUND_OF[word] for word in table} == dict(table)
    assert set(SPRSOUND_EVENTS) < set(SOUND_OF)
    assert set(SOUND_OF.values()) == {*SOUNDS, "poor quality", "bronchial"}
    for word, sound in SOUND_OF.items():  # the words themselves tell what the flags must be
        if len(word) > 3 and sound in SOUNDS:
            text = word.lower()
            assert (
                "crackle" in text or "crep" in text or "das" in text or "both" in text or text.startswith("i c")
            ) == (sound in ("crackle", "both")), word


def test_tasks_of_intervals_agree_with_each_other_and_with_the_words() -> None:
    cycles, binary = task_named("cycles"), task_named("cycles-binary")
    assert cycles.label_of.keys() == binary.label_of.keys() == {w for w, s in SOUND_OF.items() if s in SOUNDS}
    for word, sound in cycles.label_of.items():
        assert sound == SOUND_OF[word]
        assert (binary.label_of[word] == "normal") == (sound == "normal")
    for word in SPRSOUND_EVENTS:
        assert (task_named("sprsound-1-1").label_of[word] == "Normal") == (SOUND_OF[word] == "normal")
        assert task_named("sprsound-1-2").label_of[word] == word
    for word in SPRSOUND_RECORD_LABELS:
        coarse = task_named("sprsound-2-1").label_of[word]
        assert coarse == (word if SOUND_OF[word] in ("normal", "poor quality") else "Adventitious")


def test_groups_of_diagnoses_refine_normal_and_abnormal() -> None:
    obstructive = task_named("obstructive")
    for diagnosis, group in DIAGNOSIS_GROUP.items():
        assert obstructive.label_of[diagnosis] == group
        assert (group == "normal") == (BINARY.label_of[diagnosis] == "Normal") == (diagnosis == "Healthy")
        assert (group == "obstructive") == any(word in diagnosis for word in ("Asthma", "COPD"))


@pytest.mark.parametrize("unit", ["cycle", "event", "recording", "patient"])
@pytest.mark.parametrize("reads", ["diagnosis", "sound_label", "sound", "annotations"])
def test_only_labels_of_intervals_answer_for_intervals(unit: str, reads: str) -> None:
    def made() -> Task:
        return Task("own", unit, ("a", "b"), {"x": "a", "y": "b"}, reads)  # type: ignore[arg-type]

    if (unit in ("cycle", "event")) == (reads == "annotations"):
        assert made().labels_intervals == (reads == "annotations")
    else:
        with pytest.raises(ValueError, match="are not labels of a"):
            made()


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("obstructive", {"normal": 35, "obstructive": 794, "other": 91}),
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
        task.label_of[next(iter(task.label_of))] = task.classes[0]  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.classes = ("x", "y")  # type: ignore[misc]


def test_a_task_keeps_the_table_it_was_given() -> None:
    table = {"x": "a", "y": "b"}
    task = Task("own", "recording", ("a", "b"), table)
    table["x"] = "b"
    assert task.encode(["x", "y"]).tolist() == [0, 1]
