"""A network's answers do not depend on how many windows are answered at once, whatever XLA makes of the program."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from jaxresp import models, xla_faults
from jaxresp.models import NetworkConfig


@pytest.mark.parametrize("name", ["cnn1d", "cnn2d"])
@pytest.mark.parametrize("filters", [2, 16])
def test_many_windows_at_once_are_answered_as_each_alone(name: str, filters: int) -> None:
    """A matrix product fused with the pooling behind it was wrong from eight windows on, with jaxlib 0.10.1."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(32, 157, 20)).astype(np.float32)
    graph, weights = models.create(NetworkConfig(name, filters=filters, dense=8), 20, 3, 0)
    apply = jax.jit(lambda weights, features: models.apply(graph, weights, features))
    alone = np.concatenate([apply(weights, features[i : i + 1]) for i in range(len(features))])
    np.testing.assert_allclose(apply(weights, features), alone, atol=1e-5)


def test_what_was_set_stays_and_newer_versions_are_left_alone() -> None:
    old = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    xla_faults.switch_off(old, "0.10.1")
    xla_faults.switch_off(old, "0.10.1")
    assert old["XLA_FLAGS"] == "--xla_force_host_platform_device_count=4 --xla_cpu_experimental_ynn_fusion_type="
    chosen = {"XLA_FLAGS": "--xla_cpu_experimental_ynn_fusion_type=LIBRARY_FUSION_TYPE_DOT"}
    xla_faults.switch_off(chosen, "0.10.1")
    assert chosen["XLA_FLAGS"] == "--xla_cpu_experimental_ynn_fusion_type=LIBRARY_FUSION_TYPE_DOT"
    new: dict[str, str] = {}
    xla_faults.switch_off(new, "0.12.0.1")
    assert not new
