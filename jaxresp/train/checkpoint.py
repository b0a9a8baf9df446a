"""Training that goes on after a kill: everything an epoch leaves, in one file that is either whole or the one before.

A checkpoint is an insurance, and never worth the training it insures. So what is not this training's is refused, since
somebody named a wrong file; but a damaged one, or a full disk, is told once and the training goes on without.
"""

from __future__ import annotations

import errno
import hashlib
import json
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxresp import __version__
from jaxresp.errors import JaxrespError
from jaxresp.files import clear_partial, sha256, write_whole
from jaxresp.models import Weights, storage
from jaxresp.train.step import State

_MAGIC = b"jaxresp checkpoint 1 "
_META = "meta"
#: Of the time that training takes, at most so much goes into checkpoints.
_SHARE = 0.02
#: What a full disk, a used-up quota or a limit on a file's size answers.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class CheckpointMismatch(JaxrespError):
    """A checkpoint of another training."""


class CheckpointUnusable(JaxrespError):
    """A checkpoint that cannot be read or written where it should be, and not for lack of space."""


class CheckpointWarning(UserWarning):
    """A checkpoint that cannot be used, or for which there is no space: the training goes on without."""


class _Damaged(Exception):
    """Not the bytes that were written."""


class Progress(NamedTuple):
    """What epochs leave to the next one.

    Attributes:
        state: after the last epoch.
        best: weights of the best epoch.
        best_epoch: 0 before the first.
        best_score: what is lowest in the best epoch; infinite before the first, NaN where nothing is scored.
        history: losses of every epoch run.
    """

    state: State
    best: Weights
    best_epoch: int
    best_score: float
    history: tuple[dict[str, float], ...]

    @property
    def epoch(self) -> int:
        return len(self.history)


def environment_of(n_devices: int) -> dict[str, Any]:
    """What must be the same for the same bits, beside the training."""
    return {
        "jaxresp": __version__,
        "jax": jax.__version__,
        "backend": jax.default_backend(),
        "devices": n_devices,
    }


@dataclass
class Checkpoint:
    """The file of one training.

    Attributes:
        path: where it is; its folder is made.
        training: what makes this training this one: settings, and hashes of its data.
        environment: see `environment_of`.
    """

    path: Path
    training: Mapping[str, Any]
    environment: Mapping[str, Any]
    _due_s: float = field(default=0.0, init=False)
    _warned: bool = field(default=False, init=False)

    def load(self, like: Progress) -> Progress | None:
        """What the file holds, on the devices where `like` is; None where there is none that can be used.

        Raises:
            CheckpointMismatch: it is another training's; says what differs.
            CheckpointUnusable: it cannot be read.
        """
        clear_partial(self.path.parent, of=self.path.name)
        try:
            meta, arrays = _read(self.path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(error) from error
        except _Damaged as error:
            warnings.warn(
                f"{self.path} is damaged ({error}); the training begins anew and will overwrite it",
                CheckpointWarning,
                stacklevel=2,
            )
            return None
        if differing := _differing(meta["training"], self.training):
            raise CheckpointMismatch(
                f"{self.path} is the checkpoint of another training (they differ in {differing}); "
                "name another file, or remove this one"
            )
        if differing := _differing(meta["environment"], self.environment):
            warnings.warn(
                f"{self.path} was written elsewhere (they differ in {differing}), and going on would not give the "
                "numbers of an unbroken training; it begins anew and will overwrite the file",
                CheckpointWarning,
                stacklevel=2,
            )
            return None
        held = like._replace(
            best_epoch=meta["best_epoch"], best_score=meta["best_score"], history=tuple(meta["history"])
        )
        return held._replace(**_filled({"state": like.state, "best": like.best}, arrays))

    def save(self, progress: Progress) -> None:
        """Write the file, unless the last time was so long ago in proportion to what it cost.

        Raises:
            CheckpointUnusable: for any reason but a full disk, which is a CheckpointWarning, once.
        """
        began_s = time.monotonic()
        if began_s < self._due_s:
            return
        meta = {
            "training": self.training,
            "environment": self.environment,
            "best_epoch": progress.best_epoch,
            "best_score": progress.best_score,
            "history": progress.history,
        }
        arrays = _named({"state": progress.state, "best": progress.best})
        arrays[_META] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
        data = storage.pack(arrays)
        try:
            write_whole(self.path, _MAGIC + hashlib.sha256(data).hexdigest().encode() + b"\n" + data)
        except OSError as error:
            if error.errno not in _FULL:
                raise self._unusable(error) from error
            if not self._warned:
                warnings.warn(
                    f"no space for the checkpoint {self.path} after epoch {progress.epoch} ({error.strerror}); the "
                    "training goes on and tries again after each epoch, and a kill would cost what was done since the "
                    "last one that was written: make space",
                    CheckpointWarning,
                    stacklevel=2,
                )
            self._warned = True
        ended_s = time.monotonic()
        self._due_s = ended_s + (ended_s - began_s) / _SHARE

    def _unusable(self, error: OSError) -> CheckpointUnusable:
        return CheckpointUnusable(
            f"the checkpoint {self.path} cannot be read or written ({error.strerror}); name a file in a folder of yours"
        )


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    head, _, data = path.read_bytes().partition(b"\n")
    if head != _MAGIC + sha256(data).encode():
        raise _Damaged("its content and its hash differ")
    arrays = storage.unpack(data)
    return json.loads(arrays.pop(_META).tobytes()), arrays


def _differing(theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> str:
    """Names of what differs, those in a group by their own names; empty where nothing does."""
    mine = json.loads(json.dumps(mine))
    names = []
    for key in sorted(set(theirs) | set(mine)):
        one, other = theirs.get(key), mine.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            names += [name for name in sorted(set(one) | set(other)) if one.get(name) != other.get(name)]
        elif one != other:
            names.append(key)
    return ", ".join(names)


def _named(tree: Any) -> dict[str, np.ndarray]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def _filled(like: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """The tree `like` with these arrays in the place of its own, where its own are."""
    leaves, tree = jax.tree_util.tree_flatten_with_path(like)
    # An array that was never placed by hand stays free to move, as the one it replaces: else all would compile anew.
    return jax.tree_util.tree_unflatten(
        tree,
        [
            jax.device_put(arrays[jax.tree_util.keystr(path)], leaf.sharding if leaf.committed else None)
            for path, leaf in leaves
        ],
    )
