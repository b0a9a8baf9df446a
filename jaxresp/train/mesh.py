"""One training over several devices: each takes its share of every batch, and all hold the same network.

Nothing in a step knows of it. Batches are sharded, the network and the features are on every device, and XLA adds up
what belongs together: gradients, and the statistics of a whole batch (not of a device's share).

It is used where it is asked for, and not because several devices are seen: a network this small gains more from
another trial on each device than from an eighth of a batch, and a sum in another order has other last bits.
"""

from __future__ import annotations

from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxresp.errors import JaxrespError

_AXIS = "batch"


class MeshError(JaxrespError):
    """Devices that are not there, or a batch that they cannot share."""


def data_mesh(n_devices: int | None = None) -> Mesh:
    """So many devices in a row, or all of them.

    Raises:
        MeshError: there are fewer.
    """
    devices = jax.devices()
    wanted = len(devices) if n_devices is None else n_devices
    if not 1 <= wanted <= len(devices):
        raise MeshError(f"{wanted} devices are asked for and JAX sees {len(devices)} ({devices[0].platform})")
    return jax.make_mesh((wanted,), (_AXIS,), axis_types=(AxisType.Auto,), devices=devices[:wanted])


def check_shares(mesh: Mesh | None, batch_size: int) -> None:
    """Whether a batch can be shared out evenly.

    Raises:
        MeshError: it cannot; filling it up would show some windows twice and change the training.
    """
    if mesh is not None and batch_size % mesh.size:
        below = batch_size - batch_size % mesh.size
        nearest = " or ".join(str(size) for size in (below, below + mesh.size) if size)
        raise MeshError(
            f"a batch of {batch_size} windows does not divide among {mesh.size} devices; use a batch size of {nearest}"
        )


def everywhere(mesh: Mesh | None) -> NamedSharding | None:
    """Where to put what every device holds; None, JAX's default device, without a mesh."""
    return None if mesh is None else NamedSharding(mesh, PartitionSpec())


def shared_out(mesh: Mesh | None, axis: int = 0) -> NamedSharding | None:
    """Where to put what is divided among the devices along an axis."""
    return None if mesh is None else NamedSharding(mesh, PartitionSpec(*(None,) * axis, _AXIS))


def home(tree: Any, mesh: Mesh | None) -> Any:
    """Arrays from a mesh back on JAX's default device, where everything else expects them."""
    return tree if mesh is None else jax.device_put(jax.device_get(tree))
