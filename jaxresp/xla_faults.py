"""What XLA's CPU compiler gets wrong in versions that are still used, switched off before it reads its flags."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from importlib.metadata import version

# A matrix product is handed to a library of kernels (YNN) together with what follows it. In jaxlib 0.10.1, the one that
# Python 3.11 gets (0.10.2 is refused for faults of its own), a product followed by max pooling is wrong for eight
# windows and more, and the process dies of damaged memory.
_MENDED = (0, 12)
_NO_YNN_FUSIONS = "--xla_cpu_experimental_ynn_fusion_type="


def switch_off(environment: MutableMapping[str, str] = os.environ, jaxlib: str | None = None) -> None:
    """Add to XLA_FLAGS what the installed jaxlib needs. JAX reads them when it first compiles, not when imported.

    Args:
        environment: whose XLA_FLAGS.
        jaxlib: its version, if it is not the installed one.
    """
    major, minor = (int(part) for part in (jaxlib or version("jaxlib")).split(".")[:2])
    flags = environment.get("XLA_FLAGS", "")
    if (major, minor) < _MENDED and _NO_YNN_FUSIONS.rstrip("=") not in flags:
        environment["XLA_FLAGS"] = f"{flags} {_NO_YNN_FUSIONS}".strip()
