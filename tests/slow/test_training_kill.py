"""A training that is killed at any moment, or runs out of disk: it ends in the bits of one that was left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from jaxresp import shipped
from jaxresp.models import storage

pytestmark = pytest.mark.slow

KILLS = 6
EPOCHS = 40
TOO_LONG_S = 300.0  # nothing asserts how long a training takes; this only ends one that hangs

TRAINING = f"""
import sys
from pathlib import Path

import numpy as np

from jaxresp.features import FeatureBank
from jaxresp.files import write_whole
from jaxresp.models import NetworkConfig, storage
from jaxresp.taxonomy import BINARY
from jaxresp.train import TrainConfig, checkpoint, fit, to_arrays

folder = Path(sys.argv[1])
checkpoint._SHARE = float("inf")  # after every epoch, so that many a kill comes while one is written
labels = (np.arange(24) % 4 == 0).astype(np.int32)
rng = np.random.default_rng(0)
recording = np.repeat(np.arange(24, dtype=np.int32), 3)
features = rng.normal(3.0, 2.0, (72, 2, 16, 8)).astype(np.float32)
found = fit(
    FeatureBank(features, recording, 24),
    labels,
    BINARY,
    NetworkConfig("cnn2d", filters=2, dense=8),
    TrainConfig(batch_size=8, max_epochs={EPOCHS}, patience={EPOCHS}, schedule="cosine", mixup=0.2, time_mask=0.1),
    train=np.arange(12),
    validation=np.arange(12, 18),
    on_epoch=lambda epoch, losses: print(epoch, flush=True),
    checkpoint=folder / "fit.npz",
)
history = np.array([list(losses.values()) for losses in found.history])
arrays = to_arrays(found.weights, found.standardisation) | {{"history": history, "best": np.array(found.best_epoch)}}
write_whole(folder / "found.npz", storage.pack(arrays))
"""


class Training:
    """The same training, in a process of its own."""

    def __init__(self, folder: Path, cache: Path):
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.environment = os.environ | {
            "PYTHONPATH": str(shipped.root()),
            "JAX_COMPILATION_CACHE_DIR": str(cache),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }

    @property
    def checkpoint(self) -> Path:
        return self.folder / "fit.npz"

    def start(self, **how) -> subprocess.Popen[str]:  # type: ignore[no-untyped-def]
        command = [sys.executable, "-c", TRAINING, str(self.folder)]
        how = {"stderr": subprocess.DEVNULL} | how
        return subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, text=True, **how)

    def finish(self) -> tuple[dict[str, np.ndarray], str]:
        """To its end: what was found, and what was said on the way."""
        process = self.start(stderr=subprocess.PIPE)
        out, said = process.communicate(timeout=TOO_LONG_S)
        assert process.returncode == 0, said
        assert out.split() == [str(n) for n in range(1, EPOCHS + 1)]  # every epoch is told, in every process
        return storage.unpack((self.folder / "found.npz").read_bytes()), said


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("xla")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, cache) -> dict[str, np.ndarray]:
    return Training(tmp_path_factory.mktemp("unbroken"), cache).finish()[0]


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_a_training_killed_at_random_moments_ends_in_the_same_bits(unbroken, tmp_path, cache):
    training = Training(tmp_path / "killed", cache)
    seed = int(time.time())
    print(f"moments drawn with seed {seed}")
    rng = np.random.default_rng(seed)
    killed = 0
    for last in np.sort(rng.integers(1, EPOCHS, KILLS)).tolist():
        with training.start() as process:
            for line in process.stdout:
                if int(line) >= last:  # at once, where the process before this one got further
                    break
            time.sleep(rng.uniform(0.0, 0.05))
            process.kill()
            process.stdout.read()
        assert process.returncode in (-signal.SIGKILL, 0)
        killed += process.returncode != 0
    assert killed >= KILLS // 2  # the others were done just before
    found, said = training.finish()
    assert_same(found, unbroken)
    assert "CheckpointWarning" not in said  # none of what was left behind was damaged
    assert sorted(each.name for each in training.folder.iterdir()) == ["fit.npz", "found.npz"]


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system of its own can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_training_whose_disk_fills_up_goes_on_and_says_so(unbroken, small_disk, cache):
    training = Training(small_disk, cache)
    with training.start() as process:
        for line in process.stdout:
            if int(line) >= 5:
                break
        process.kill()
    held = training.checkpoint.read_bytes()
    room = os.statvfs(small_disk)
    (small_disk / "other").write_bytes(bytes(room.f_bavail * room.f_frsize - len(held) // 2))
    with training.start(stderr=subprocess.PIPE) as process:
        for line in process.stdout:
            if int(line) == EPOCHS - 1:
                (small_disk / "other").unlink()  # what was found has room again
        said = process.stderr.read()
    assert process.returncode == 0, said
    assert said.count("CheckpointWarning: no space for the checkpoint") == 1
    assert_same(storage.unpack((small_disk / "found.npz").read_bytes()), unbroken)
    assert sorted(each.name for each in small_disk.iterdir()) == ["fit.npz", "found.npz"]
