"""What is said of devices that are not there, and of a batch they cannot share; tests/slow/test_mesh.py has four."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from jaxresp.train import MeshError, data_mesh
from jaxresp.train.mesh import check_shares


def test_devices_that_are_not_there_are_told() -> None:
    n = len(jax.devices())
    assert data_mesh().size == n
    for wanted in (0, n + 1):
        with pytest.raises(MeshError, match=f"{wanted} devices are asked for and JAX sees {n}"):
            data_mesh(wanted)


def test_a_batch_that_cannot_be_shared_out_evenly_is_refused_with_the_nearest() -> None:
    four = Mesh(np.array(4 * jax.devices()[:1], dtype=object), ("batch",))
    check_shares(None, 30)
    check_shares(four, 32)
    with pytest.raises(MeshError, match=r"batch of 30 .* 4 devices; use a batch size of 28 or 32"):
        check_shares(four, 30)
    with pytest.raises(MeshError, match=r"use a batch size of 4$"):
        check_shares(four, 3)
