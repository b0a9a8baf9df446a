"""A member of a population is what `fit` makes of it alone."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from jaxresp.features import FeatureBank
from jaxresp.models import NetworkConfig
from jaxresp.taxonomy import BINARY, MULTICLASS, Task
from jaxresp.train import NonFiniteLoss, TrainConfig, fit, to_arrays
from jaxresp.train.fitting import EmptySide
from jaxresp.train.memory import PopulationTooLarge
from jaxresp.train.population import Member, fit_many

CONFIG = TrainConfig(batch_size=8, max_epochs=9, patience=2, learning_rate=0.02)
RECORDINGS = np.arange(24)


def labels_of(task: Task) -> np.ndarray:
    return (np.arange(24) % len(task.classes)).astype(np.int32)


@cache
def bank(n_classes: int, variants: int = 0) -> FeatureBank:
    """24 recordings of 1 to 3 windows; the classes differ a little."""
    rng = np.random.default_rng(0)
    recording = np.repeat(np.arange(24, dtype=np.int32), np.resize([1, 2, 3], 24))
    features = rng.normal(3.0, 2.0, (len(recording), 1 + variants, 16, 8)).astype(np.float32)
    for label in range(1, n_classes):
        features[recording % n_classes == label, :, ::3, label : label + 2] += 2.0
    return FeatureBank(features, recording, 24)


def population(name: str, **common: object) -> list[Member]:
    """Members that differ in everything that may differ: sides and their sizes, widths, settings, seeds."""
    config = replace(CONFIG, **common)  # type: ignore[arg-type]
    return [
        Member(NetworkConfig(name, 2, 8), config, RECORDINGS[:18], RECORDINGS[18:]),
        Member(NetworkConfig(name, 2, 5), replace(config, seed=3, dropout=0.5), RECORDINGS[6:], RECORDINGS[:6]),
        Member(
            NetworkConfig(name, 2, 8),
            replace(config, seed=4, learning_rate=0.004, weight_decay=0.1, label_smoothing=0.1, patience=9),
            np.delete(RECORDINGS, np.s_[4:16]),
            RECORDINGS[4:16],
        ),
    ]


def assert_each_is_as_alone(task: Task, of: FeatureBank, members: list[Member]) -> list[int]:
    """Histories, best epochs and weights; and how many epochs each was in training."""
    told: dict[int, list[tuple[int, dict[str, float]]]] = {}
    found = fit_many(
        of,
        labels_of(task),
        task,
        members,
        on_epoch=lambda member, epoch, losses: told.setdefault(member, []).append((epoch, dict(losses))),
    )
    for place, (member, together) in enumerate(zip(members, found, strict=True)):
        alone = fit(
            of,
            labels_of(task),
            task,
            member.network,
            member.config,
            train=member.train,
            validation=member.validation,
        )
        assert together.best_epoch == alone.best_epoch
        assert len(together.history) == len(alone.history)
        assert told[place] == list(enumerate(together.history, 1))
        for ours, theirs in zip(together.history, alone.history, strict=True):
            assert ours == pytest.approx(theirs, rel=1e-4)
        assert together.score == pytest.approx(alone.score, rel=1e-4)
        ours, theirs = (to_arrays(each.weights, each.standardisation) for each in (together, alone))
        for name, value in theirs.items():
            np.testing.assert_allclose(ours[name], value, rtol=2e-3, atol=2e-4, err_msg=name)
    return [len(each.history) for each in found]


@pytest.mark.parametrize("name, task", [("cnn1d", MULTICLASS), pytest.param("cnn2d", BINARY, marks=pytest.mark.slow)])
def test_a_member_is_what_it_is_alone(name: str, task: Task) -> None:
    epochs = assert_each_is_as_alone(task, bank(len(task.classes)), population(name))
    assert len(set(epochs)) > 1  # or nothing was masked, and nobody taken out


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:SMOTE")
def test_members_of_several_programs_come_back_in_their_order() -> None:
    """SMOTE's rows are each member's own, also where another has some as well; and shapes that differ go apart."""
    members = [
        *population("cnn1d", balance="smote")[:2],
        replace(population("cnn1d", max_epochs=2)[0], network=NetworkConfig("cnn1d", 3, 8)),
    ]
    assert_each_is_as_alone(MULTICLASS, bank(3, variants=2), [members[0], members[2], members[1]])


def test_what_a_caller_raises_ends_the_training_of_all() -> None:
    def stop(member: int, epoch: int, losses: dict[str, float]) -> None:
        if (member, epoch) == (1, 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_many(bank(2), labels_of(BINARY), BINARY, population("cnn1d"), on_epoch=stop)


def test_a_member_that_diverges_is_an_error_that_names_what_it_saw() -> None:
    members = population("cnn1d")
    members[1] = replace(members[1], config=replace(members[1].config, learning_rate=1e30))
    with pytest.raises(NonFiniteLoss, match=r"epoch 1, step 2 .*learning rate 1e\+30"):
        fit_many(bank(2), labels_of(BINARY), BINARY, members)


def test_a_side_without_recordings_is_refused() -> None:
    nobody = replace(population("cnn1d")[0], validation=RECORDINGS[:0])
    with pytest.raises(EmptySide, match="no recording to validate"):
        fit_many(bank(2), labels_of(BINARY), BINARY, [nobody])


def test_a_population_larger_than_memory_is_refused_with_the_size_that_fits() -> None:
    members = population("cnn1d")

    def fitted(n: int, memory_bytes: int) -> None:
        fit_many(bank(2), labels_of(BINARY), BINARY, members[:n], memory_bytes=memory_bytes, on_epoch=stop)

    def stop(member: int, epoch: int, losses: dict[str, float]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(PopulationTooLarge, match="not even one") as refused:
        fitted(3, 1000)
    assert refused.value.fits == 0
    with pytest.raises(KeyboardInterrupt):
        fitted(3, 10**9)
    told = re.search(r"takes ([\d.]+) MB", str(refused.value))
    assert told is not None
    with pytest.raises(PopulationTooLarge, match=r"3 cnn1d networks with 2 filters .* train at most 2 at once"):
        fitted(3, int(0.9e6 * float(told[1])))
