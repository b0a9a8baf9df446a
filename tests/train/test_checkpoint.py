"""Laws of checkpoints: a training that was stopped goes on to the bits of one that was not."""

from __future__ import annotations

import errno
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from jaxresp.evaluate.metrics import macro_log_loss
from jaxresp.features import FeatureBank
from jaxresp.models import NetworkConfig
from jaxresp.taxonomy import BINARY
from jaxresp.train import (
    CheckpointMismatch,
    CheckpointUnusable,
    CheckpointWarning,
    Fit,
    TrainConfig,
    fit,
    fitting,
    to_arrays,
)
from jaxresp.train import checkpoint as keeping
from jaxresp.train.checkpoint import Checkpoint

NETWORK = NetworkConfig("cnn1d", filters=2, dense=8)
CONFIG = TrainConfig(batch_size=8, max_epochs=7, learning_rate=0.02, patience=2, schedule="cosine", seed=1)
TRAIN, VALIDATION = np.arange(12), np.arange(12, 18)
LABELS = (np.arange(24) % 4 == 0).astype(np.int32)


@pytest.fixture(autouse=True)
def _after_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it costs."""
    monkeypatch.setattr(keeping, "_SHARE", float("inf"))


@cache
def bank() -> FeatureBank:
    rng = np.random.default_rng(0)
    recording = np.repeat(np.arange(24, dtype=np.int32), 2)
    features = rng.normal(3.0, 2.0, (48, 2, 16, 8)).astype(np.float32)
    features[LABELS[recording] == 1, :, ::3, :2] += 2.0
    return FeatureBank(features, recording, 24)


def fitted(config: TrainConfig = CONFIG, *, of: FeatureBank | None = None, labels: np.ndarray = LABELS, **how) -> Fit:  # type: ignore[no-untyped-def]
    how = {"train": TRAIN, "validation": VALIDATION} | how
    return fit(of or bank(), labels, BINARY, how.pop("network", NETWORK), config, **how)


@cache
def unbroken() -> Fit:
    found = fitted()
    assert 1 < found.best_epoch < len(found.history) < CONFIG.max_epochs  # stopped by its patience
    return found


def assert_same(found: Fit, expected: Fit) -> None:
    arrays = to_arrays(found.weights, found.standardisation)
    for name, value in to_arrays(expected.weights, expected.standardisation).items():
        np.testing.assert_array_equal(arrays[name], value, err_msg=name)
    assert (found.history, found.best_epoch) == (expected.history, expected.best_epoch)
    np.testing.assert_equal(found.score, expected.score)


class _Killed(BaseException):
    pass


def stopped_after(last: int, file: Path, **how) -> list[int]:  # type: ignore[no-untyped-def]
    """A training that is cut off in an epoch, and the epochs that it told of."""
    told: list[int] = []

    def on_epoch(epoch: int, losses: dict[str, float]) -> None:
        told.append(epoch)
        if epoch == last:
            raise _Killed

    with pytest.raises(_Killed):
        fitted(checkpoint=file, on_epoch=on_epoch, **how)
    return told


@pytest.mark.parametrize("how", [{}, {"validation": None, "epochs": 4}], ids=["patience", "epochs"])
def test_a_training_stopped_in_every_epoch_ends_in_the_same_bits(how: dict, tmp_path: Path) -> None:
    whole, file = fitted(**how), tmp_path / "made" / "fit.npz"
    for last in range(1, len(whole.history) + 1):
        assert stopped_after(last, file, **how) == list(range(1, last + 1))  # those before are told again
        assert [each.name for each in file.parent.iterdir()] == [file.name]
    assert_same(fitted(checkpoint=file, **how), whole)


def test_a_finished_training_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, told, whole = tmp_path / "fit.npz", [], unbroken()
    fitted(checkpoint=file)
    monkeypatch.setattr(fitting, "run_epoch", None)
    again = fitted(checkpoint=file, on_epoch=lambda epoch, losses: told.append(losses))
    assert_same(again, whole)
    assert tuple(told) == again.history


def test_a_checkpoint_changes_nothing(tmp_path: Path) -> None:
    assert_same(fitted(checkpoint=tmp_path / "fit.npz"), unbroken())


def _other_features() -> FeatureBank:
    return replace(bank(), features=bank().features + 1.0)


@pytest.mark.parametrize(
    ("named", "other"),
    [
        ("learning_rate, seed", {"config": replace(CONFIG, learning_rate=0.01, seed=3)}),
        ("max_epochs", {"config": replace(CONFIG, max_epochs=8)}),
        ("network filters", {"network": replace(NETWORK, filters=3)}),
        ("recordings of train", {"train": np.arange(11)}),
        ("recordings of validation", {"validation": np.arange(12, 19)}),
        ("labels of train", {"labels": LABELS[::-1].copy()}),
        ("features", {"of": _other_features()}),
        ("criterion", {"criterion": lambda labels, answers: macro_log_loss(labels, answers)}),
        ("epochs, labels of validation", {"validation": None, "epochs": 7}),
    ],
)
def test_a_checkpoint_of_another_training_is_refused_and_left_alone(named: str, other: dict, tmp_path: Path) -> None:
    file = tmp_path / "fit.npz"
    stopped_after(1, file)
    held = file.read_bytes()
    with pytest.raises(CheckpointMismatch, match=rf"another training \(they differ in .*{named}.*\); name another"):
        fitted(checkpoint=file, **other)
    assert file.read_bytes() == held


@pytest.mark.parametrize("how", ["cut", "flipped", "empty", "something else"])
def test_a_damaged_checkpoint_is_told_and_the_training_begins_anew(how: str, tmp_path: Path) -> None:
    file = tmp_path / "fit.npz"
    stopped_after(2, file)
    held = bytearray(file.read_bytes())
    held[len(held) // 2] ^= 1
    broken = {"cut": held[:-9], "flipped": held, "empty": b"", "something else": b"a\nfile\n"}[how]
    file.write_bytes(broken)
    with pytest.warns(CheckpointWarning, match=r"is damaged .* begins anew"):
        found = fitted(checkpoint=file)
    assert_same(found, unbroken())
    stopped_after(2, file)  # without a warning: it was overwritten with a good one


def test_another_version_of_jax_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "fit.npz"
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "environment_of", lambda n: keeping.environment_of(n) | {"jax": "0.0.1"})
        stopped_after(2, file)
    with pytest.warns(CheckpointWarning, match=r"differ in jax\).*begins anew"):
        found = fitted(checkpoint=file)
    assert_same(found, unbroken())


# Disks


@contextmanager
def no_space() -> Iterator[None]:
    """The kernel refuses to write more than a little to any file, as it does when a disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_told_once_and_the_training_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "fit.npz"
    stopped_after(2, file)
    held = file.read_bytes()
    with no_space(), pytest.warns(CheckpointWarning, match=r"no space .* after epoch 3 .* make space") as told:
        found = fitted(checkpoint=file)
    assert len(told) == 1
    assert_same(found, unbroken())
    assert [each.name for each in tmp_path.iterdir()] == [file.name]  # nothing half-written
    assert file.read_bytes() == held
    assert_same(fitted(checkpoint=file), unbroken())  # from what was written while there was space


def test_a_place_that_cannot_be_written_to_is_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told: list[int] = []
    with pytest.raises(CheckpointUnusable, match=r"fit\.npz cannot be read or written .* name a file"):
        fitted(checkpoint=tmp_path / "file" / "fit.npz", on_epoch=lambda epoch, losses: told.append(epoch))
    assert told == []


def test_checkpoints_take_no_more_than_their_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock of our own: a checkpoint that costs 1 s is written every 50 s of training."""
    now, written = [0.0], []

    def write(path: Path, data: bytes) -> None:
        now[0] += 1.0
        written.append(now[0])
        if len(written) == 3:
            raise OSError(errno.ENOSPC, "full")

    monkeypatch.undo()
    monkeypatch.setattr(keeping.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(keeping, "write_whole", write)
    keeper = Checkpoint(tmp_path / "fit.npz", {}, {})
    found = unbroken()
    progress = keeping.Progress(found.weights, found.weights, 1, 0.5, found.history)
    with pytest.warns(CheckpointWarning):
        for _ in range(200):
            now[0] += 10.0
            keeper.save(progress)
    assert written == [11.0 + 61.0 * n for n in range(len(written))] or len(written) <= 0.021 * now[0]
    assert len(written) > 0.015 * now[0]
