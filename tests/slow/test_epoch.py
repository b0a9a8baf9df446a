"""An epoch as one compiled call, as on a GPU, against the loop of steps of a CPU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from jaxresp.features import FeatureBank
from jaxresp.models import NetworkConfig
from jaxresp.taxonomy import MULTICLASS
from jaxresp.train import TrainConfig, epoch, fit, to_arrays

pytestmark = pytest.mark.slow

CONFIG = TrainConfig(batch_size=8, max_epochs=3, learning_rate=0.01, schedule="cosine", warmup_epochs=1.0)
DRAWN = {"mixup": 0.2, "time_mask": 0.2, "frequency_mask": 0.2, "label_smoothing": 0.1, "clip_norm": 1.0}


@pytest.mark.parametrize("name", ["cnn1d", "cnn2d"])
@pytest.mark.parametrize("changed", [DRAWN, {"balance": "smote"}, {"balance": "oversampling"}], ids=str)
def test_both_give_the_same_numbers(name: str, changed: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = (np.arange(24) % 5 % 3).astype(np.int32)
    rng = np.random.default_rng(0)
    recording = np.repeat(np.arange(24, dtype=np.int32), 2)
    features = rng.normal(3.0, 2.0, (48, 3, 16, 8)).astype(np.float32)
    bank, network = FeatureBank(features, recording, 24), NetworkConfig(name, filters=2, dense=8)
    sides = {"train": np.arange(12), "validation": np.arange(12, 18)}
    config = replace(CONFIG, **changed)
    loop = fit(bank, labels, MULTICLASS, network, config, **sides)
    monkeypatch.setattr(epoch, "one_call", lambda: True)
    monkeypatch.setattr(epoch, "_step_by_step", None)
    call = fit(bank, labels, MULTICLASS, network, config, **sides)
    assert len(loop.history) == len(call.history) == 3
    for one, other in zip(loop.history, call.history, strict=True):
        assert one == pytest.approx(other, rel=1e-5)
    arrays = to_arrays(loop.weights, loop.standardisation)
    for key, value in to_arrays(call.weights, call.standardisation).items():
        np.testing.assert_allclose(value, arrays[key], atol=1e-4, err_msg=key)
