"""Where the folders bento/ and datasets/ lie, and how a file in them is loaded.

Neither can be a top-level package: `datasets` would shadow Hugging Face's. An installed wheel carries them inside
jaxresp, as `_shipped/`; a checkout (editable install, or the repository root as working directory) has them beside it.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from jaxresp.errors import JaxrespError

_PACKAGE = Path(__file__).resolve().parent


class ShippedFileMissing(JaxrespError):
    """A file that belongs to jaxresp is not where the installation should have put it."""


class ShippedModuleClash(JaxrespError):
    """Two different files were to be loaded under one module name."""


def root() -> Path:
    """The folder that holds bento/ and datasets/.

    Raises:
        ShippedFileMissing: neither an installed wheel's folder nor a checkout is there.
    """
    shipped = _PACKAGE / "_shipped"
    if shipped.is_dir():
        return shipped
    checkout = _PACKAGE.parent
    if (checkout / "datasets").is_dir() or (checkout / "bento").is_dir():
        return checkout
    raise ShippedFileMissing(
        f"datasets/ and bento/ are neither in {shipped} (an installed wheel) nor in {checkout} (a checkout); "
        "install jaxresp again, from its wheel or with `pip install -e .`"
    )


def load_module(relative_path: str, name: str) -> ModuleType:
    """Load a Python file under root() as the module `name`, once: a second call gives the same module.

    Args:
        relative_path: from root(), with forward slashes, such as "datasets/icbhi/icbhi_dataset_builder.py".
        name: our own module name, such as "jaxresp._shipped_icbhi"; never one that others import.

    Raises:
        ShippedFileMissing: no such file.
        ShippedModuleClash: `name` already belongs to another file.
    """
    path = root() / relative_path
    loaded = sys.modules.get(name)
    if loaded is not None:
        if loaded.__file__ is not None and Path(loaded.__file__).resolve() == path.resolve():
            return loaded
        raise ShippedModuleClash(
            f"cannot load {path} as module {name}: that name belongs to {loaded.__file__}; choose another name"
        )
    if not path.is_file():
        raise ShippedFileMissing(
            f"{relative_path} is missing from {root()}; install jaxresp again, or restore the file in your checkout"
        )
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ShippedFileMissing(f"{path} is not a Python file; load_module wants one that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before running it: dataclasses and pickle look their own module up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]  # nothing half-loaded stays behind
        raise
    return module
