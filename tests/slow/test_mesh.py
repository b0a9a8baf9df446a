"""Training on four devices: made-up ones, which a process must ask for before JAX starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from jaxresp import shipped

pytestmark = pytest.mark.slow

FOUR_DEVICES = """
import json
import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np

from jaxresp.features import FeatureBank
from jaxresp.models import NetworkConfig
from jaxresp.taxonomy import BINARY
from jaxresp.train import TrainConfig, data_mesh, fit, predict, to_arrays
from jaxresp.train import checkpoint, epoch

labels = (np.arange(24) % 4 == 0).astype(np.int32)
rng = np.random.default_rng(0)
recording = np.repeat(np.arange(24, dtype=np.int32), 3)
features = rng.normal(3.0, 2.0, (72, 2, 16, 8)).astype(np.float32)
features += 3.0 * recording[:, None, None, None] / 24  # the quarters of a batch have statistics of their own
bank = FeatureBank(features, recording, 24)
network, config = NetworkConfig("cnn2d", filters=2, dense=8), TrainConfig(batch_size=8, max_epochs=3, mixup=0.2)
sides = {"train": np.arange(12), "validation": np.arange(12, 18)}
shares = []
one_step = epoch.one_step


def watched(state, x, *rest, **how):
    shares.append([x.shape[0], x.addressable_shards[0].data.shape[0]])
    return one_step(state, x, *rest, **how)


def fitted(mesh, config=config, **how):
    return fit(bank, labels, BINARY, network, config, mesh=mesh, **sides, **how)


def told(found):
    arrays = to_arrays(found.weights, found.standardisation)
    return {"history": found.history, "arrays": {name: value.ravel().tolist() for name, value in arrays.items()}}


four = data_mesh()
out = {"devices": four.size, "alone": told(fitted(None))}
epoch.one_step = watched
out["shared"] = told(fitted(four))
epoch.one_step = one_step
out["shares"] = shares
smote = replace(config, balance="smote", mixup=0.0)
out["smote alone"], out["smote shared"] = told(fitted(None, smote)), told(fitted(four, smote))

# Stopped after an epoch, and gone on: on the same mesh to the same bits.
checkpoint._SHARE = float("inf")
file = Path(sys.argv[1])


def stop(number, losses):
    if number == 2:
        raise KeyboardInterrupt


try:
    fitted(four, checkpoint=file, on_epoch=stop)
except KeyboardInterrupt:
    pass
out["continued"] = told(fitted(four, checkpoint=file))

epoch.one_call = lambda: True
out["one call"] = told(fitted(four))
print(json.dumps(out))
"""


@pytest.fixture(scope="module")
def four_devices(tmp_path_factory: pytest.TempPathFactory) -> dict:
    environment = os.environ | {
        "PYTHONPATH": str(shipped.root()),
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
    }
    file = tmp_path_factory.mktemp("mesh") / "fit.npz"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FOUR_DEVICES, str(file)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_close(found: dict, expected: dict) -> None:
    assert len(found["history"]) == len(expected["history"]) == 3
    for one, other in zip(found["history"], expected["history"], strict=True):
        assert one == pytest.approx(other, abs=1e-5)
    for name, value in found["arrays"].items():  # the running statistics of the normalisation among them
        np.testing.assert_allclose(value, expected["arrays"][name], atol=1e-4, err_msg=name)


def test_four_devices_train_as_one_does(four_devices: dict) -> None:
    assert four_devices["devices"] == 4
    assert any("batch_stats" in name for name in four_devices["alone"]["arrays"])
    assert_close(four_devices["shared"], four_devices["alone"])
    assert_close(four_devices["one call"], four_devices["alone"])
    assert_close(four_devices["smote shared"], four_devices["smote alone"])


def test_each_device_has_a_quarter_of_every_batch(four_devices: dict) -> None:
    assert len(four_devices["shares"]) > 3
    assert all(share == [8, 2] for share in four_devices["shares"])


def test_a_training_on_four_devices_goes_on_to_the_same_bits(four_devices: dict) -> None:
    assert four_devices["continued"] == four_devices["shared"]
