"""Features for every setting of a front end that a sweep tries, as files that are mapped and not held in memory."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from itertools import product
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from jaxresp.errors import JaxrespError
from jaxresp.features import FeatureBank
from jaxresp.frontend import FrontEnd
from jaxresp.sweep.space import Choice, SearchSpace


class MissingBank(JaxrespError):
    """A bank that another process was to build."""


@dataclass(frozen=True)
class Banks:
    """Feature banks by front end, all of the same windows. Each is computed once, written into the folder and mapped.

    However many settings there are, memory holds the pages that are being read; the system takes back the others.

    Attributes:
        folder: where the files are; whoever made it removes it.
        frontend: that of the problem's own bank.
        build: front end → its bank; None in a process that only reads what another has built.
    """

    folder: Path
    frontend: FrontEnd
    build: Callable[[FrontEnd], FeatureBank] | None

    def features(self, frontend: FrontEnd) -> Float32[np.ndarray, "windows variants frames coefficients"]:
        """The features of a front end, mapped from their file.

        Raises:
            MissingBank: nobody has built them, and this process cannot.
        """
        name = hashlib.sha256(json.dumps(frontend.to_dict(), sort_keys=True).encode()).hexdigest()[:16]
        file = self.folder / f"{name}.npy"
        if not file.is_file():
            if self.build is None:
                raise MissingBank(f"{file}, the features of {frontend}, is gone; give the command again")
            save_array(file, self.build(frontend).features)
        return np.load(file, mmap_mode="r")

    def build_all(self, space: SearchSpace) -> None:
        """Every bank that the space can ask for, so that other processes find them."""
        own = {f.name for f in fields(self.frontend)}
        mine = {name: each for name, each in space.dimensions.items() if name in own and isinstance(each, Choice)}
        for values in product(*(each.options for each in mine.values())):
            frontend = replace(self.frontend, **dict(zip(mine, values, strict=True)))
            if frontend != self.frontend:
                self.features(frontend)


def save_array(file: Path, array: np.ndarray) -> None:
    """Write an array that others will map, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "wb") as out:
            np.save(out, array)
        os.replace(partial, file)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
