"""XLA's persistent compilation cache: what was compiled once is not compiled again by the next process."""

from __future__ import annotations

import os
from pathlib import Path

import jax


def use_persistent_cache() -> Path:
    """Keep every compiled program in the user's cache folder, however quickly it compiled.

    JAX_COMPILATION_CACHE_DIR names another folder. Returns the folder in use.
    """
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get("JAX_COMPILATION_CACHE_DIR") or Path(home) / "jaxresp" / "xla")
    folder.mkdir(parents=True, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    # By default only what took over a second is kept; networks this small compile in less, many times.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return folder
