"""Whether a population fits into the memory of its device, told before it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax

from jaxresp.errors import JaxrespError


class PopulationTooLarge(JaxrespError):
    """More networks at once than memory allows.

    Attributes:
        fits: how many do.
    """

    def __init__(self, message: str, *, fits: int):
        super().__init__(message)
        self.fits = fits


def check_fits(
    analysis: Any, n_members: int, what: str, free_bytes: int | None = None, *, shared_bytes: int = 0
) -> None:
    """Compare what a compiled step of a population takes with what is free.

    Args:
        analysis: `memory_analysis()` of the step.
        n_members: of the population.
        what: the networks are, for the message.
        free_bytes: instead of what JAX's default device has.
        shared_bytes: of its arguments, what lies on the device already and does not grow with the population.

    Raises:
        PopulationTooLarge: with the size that fits. What else a step takes grows with its members.
    """
    free = free_memory_bytes() if free_bytes is None else free_bytes
    needed = (
        analysis.argument_size_in_bytes
        + analysis.output_size_in_bytes
        - analysis.alias_size_in_bytes
        - shared_bytes
        + analysis.temp_size_in_bytes
    )
    if free is None or needed <= free:
        return
    fits = n_members * free // needed
    remedy = f"train at most {fits} at once" if fits else "not even one does: use fewer filters or a smaller batch size"
    raise PopulationTooLarge(
        f"a population of {n_members} {what} takes {needed / 1e6:,.1f} MB, and {free / 1e6:,.1f} MB are free; {remedy}",
        fits=fits,
    )


def free_memory_bytes() -> int | None:
    """What JAX's default device has left; of a CPU, the machine. None where neither tells."""
    stats = jax.devices()[0].memory_stats()
    if stats is not None and "bytes_limit" in stats:
        return int(stats["bytes_limit"] - stats["bytes_in_use"])
    told = Path("/proc/meminfo")
    if not told.exists():
        return None
    lines = dict(line.split(":", 1) for line in told.read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) * 1024
