"""A member of a population is what `fit` makes of it alone."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest

from jaxresp.features import FeatureBank
from jaxresp.models import NetworkConfig
from jaxresp.models.convolution import POPULATION_FORM
from jaxresp.taxonomy import BINARY, MULTICLASS, Task
from jaxresp.train import Fit, NonFiniteLoss, TrainConfig, fit, to_arrays
from jaxresp.train.fitting import EmptySide
from jaxresp.train.memory import PopulationTooLarge, check_fits, free_memory_bytes
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


def assert_each_is_as_alone(task: Task, members: list[Member], variants: int = 0) -> list[int]:
    """Histories, best epochs and weights; and how many epochs each was in training."""
    of = bank(len(task.classes), variants)
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


def test_a_member_is_what_it_is_alone() -> None:
    epochs = assert_each_is_as_alone(MULTICLASS, population("cnn1d")[1:])
    assert len(set(epochs)) > 1  # or nothing was masked, and nobody taken out


@pytest.mark.slow
@pytest.mark.parametrize("name, task", [("cnn1d", BINARY), ("cnn2d", BINARY), ("cnn2d", MULTICLASS)])
def test_more_members_are_what_they_are_alone(name: str, task: Task) -> None:
    assert len(set(assert_each_is_as_alone(task, population(name)))) > 1


@pytest.mark.slow
def test_an_epoch_in_one_call_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on an accelerator, where the convolutions are products of matrices."""
    monkeypatch.setattr("jaxresp.train.population_epoch.one_call", lambda: True)
    monkeypatch.setitem(POPULATION_FORM, "cpu", "matmul")
    assert_each_is_as_alone(
        BINARY, [replace(each, network=NetworkConfig("cnn1d", 3, 8)) for each in population("cnn1d")]
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:SMOTE")
def test_members_of_several_programs_come_back_in_their_order() -> None:
    """SMOTE's rows are each member's own, also where another has some as well; and shapes that differ go apart."""
    members = [
        *population("cnn1d", balance="smote")[:2],
        replace(population("cnn1d", max_epochs=2)[0], network=NetworkConfig("cnn1d", 3, 8)),
    ]
    assert_each_is_as_alone(MULTICLASS, [members[0], members[2], members[1]], variants=2)


def fitted(members: list[Member], **how: object) -> tuple[Fit, ...]:
    """Of the shapes that are compiled already."""
    return fit_many(bank(3), labels_of(MULTICLASS), MULTICLASS, members, **how)  # type: ignore[arg-type]


def test_what_a_caller_raises_ends_the_training_of_all() -> None:
    class Enough(Exception):
        pass

    def stop(member: int, epoch: int, losses: dict[str, float]) -> None:
        if (member, epoch) == (1, 2):
            raise Enough

    with pytest.raises(Enough):
        fitted(population("cnn1d")[1:], on_epoch=stop)


def test_a_member_that_diverges_is_an_error_that_names_what_it_saw() -> None:
    members = population("cnn1d")[1:]
    members[1] = replace(members[1], config=replace(members[1].config, learning_rate=1e30))
    with pytest.raises(NonFiniteLoss, match=r"epoch 1, step 2 .*learning rate 1e\+30"):
        fitted(members)


def test_a_side_without_recordings_is_refused() -> None:
    with pytest.raises(EmptySide, match="no recording to validate"):
        fitted([replace(population("cnn1d")[0], validation=RECORDINGS[:0])])


def test_a_population_larger_than_memory_is_refused_before_it_runs() -> None:
    def never(member: int, epoch: int, losses: dict[str, float]) -> None:
        raise AssertionError

    with pytest.raises(PopulationTooLarge, match=r"2 cnn1d networks with 2 filters .* not even one") as refused:
        fitted(population("cnn1d")[1:], memory_bytes=1000, on_epoch=never)
    assert refused.value.fits == 0


@pytest.mark.parametrize("free, fits", [(799, 7), (500, 5), (99, 0)])
def test_the_size_that_fits_is_told(free: int, fits: int) -> None:
    """8 members of 100 bytes; what is given back in place counts once."""
    takes = SimpleNamespace(
        argument_size_in_bytes=300, output_size_in_bytes=300, alias_size_in_bytes=200, temp_size_in_bytes=400
    )
    check_fits(takes, 8, "networks", free_bytes=800)
    check_fits(takes, 8, "networks", free_bytes=700, shared_bytes=100)
    with pytest.raises(PopulationTooLarge, match=f"at most {fits} at once" if fits else "not even one") as refused:
        check_fits(takes, 8, "networks", free_bytes=free)
    assert refused.value.fits == fits


def test_this_machine_tells_what_it_has_free() -> None:
    free = free_memory_bytes()
    assert free is None or free > 1_000_000
