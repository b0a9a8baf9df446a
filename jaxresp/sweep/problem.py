"""What is tuned, and how its settings become a network, its training and its front end."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from jaxtyping import Int32

from jaxresp.errors import JaxrespError
from jaxresp.features import FeatureBank
from jaxresp.frontend import FrontEnd
from jaxresp.models import NetworkConfig
from jaxresp.splits import Fold, Split, SplitError
from jaxresp.sweep.banks import Banks
from jaxresp.sweep.space import SearchSpace
from jaxresp.taxonomy import Task
from jaxresp.train import TrainConfig


class UnknownSetting(JaxrespError):
    """A setting that nothing in the problem has."""


@dataclass(frozen=True)
class Configured:
    """Settings, as the things they are settings of."""

    network: NetworkConfig
    training: TrainConfig
    frontend: FrontEnd | None


@dataclass(frozen=True)
class Problem:
    """What is tuned: one task on one front end's features.

    Attributes:
        name: of the study.
        bank: features of the corpus.
        labels: class of every recording.
        task: the question.
        network: the architecture whose widths are tuned.
        training: the settings that are not tuned, and the first trial's.
        split: who trains, validates and is tested.
        banks: features of other settings of the front end, and the front end of `bank`; None where those are not tuned.

    Raises:
        SplitError: the split is none (a leaking one, say), or of other recordings.
    """

    name: str
    bank: FeatureBank
    labels: Int32[np.ndarray, " recordings"]
    task: Task
    network: NetworkConfig
    training: TrainConfig
    split: Split
    banks: Banks | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.split, Split):
            raise SplitError(
                f"{self.name} is tuned and trained on a Split, which proves that nobody is on two sides; "
                f"a {type(self.split).__name__} does not"
            )
        if len(self.split.patients) != len(self.labels):
            raise SplitError(
                f"{self.name}: a split of {len(self.split.patients)} recordings does not divide {len(self.labels)}"
            )

    @property
    def folds(self) -> tuple[Fold, ...]:
        return self.split.folds

    def defaults(self, space: SearchSpace) -> dict[str, Any]:
        """The first trial's settings.

        Raises:
            UnknownSetting: the space has one that nothing here has.
        """
        owners: list[Any] = [self.network, self.training]
        if self.banks is not None:
            owners.append(self.banks.frontend)
        found = {f.name: getattr(owner, f.name) for owner in reversed(owners) for f in fields(owner)}
        unknown = sorted(set(space.dimensions) - set(found))
        if unknown:
            raise UnknownSetting(
                f"{self.name}: nothing here has {', '.join(unknown)} of the space {space.name!r}; search another space"
                + ("" if self.banks else ", or give the problem the banks that settings of a front end need")
            )
        settings = {name: found[name] for name in space.dimensions}
        if "kernel" in settings and settings["kernel"] is None:
            settings["kernel"] = self.network.default_kernel
        return settings

    def configured(self, settings: Mapping[str, Any]) -> Configured:
        """What these settings are of: the network, its training, the front end."""
        rest = dict(settings)

        def taken(owner: Any) -> dict[str, Any]:
            return {f.name: rest.pop(f.name) for f in fields(owner) if f.name in rest}

        network, training = replace(self.network, **taken(self.network)), replace(self.training, **taken(self.training))
        frontend = None
        if self.banks is not None:
            frontend = replace(self.banks.frontend, **taken(self.banks.frontend))
        if rest:
            raise UnknownSetting(f"{self.name}: nothing here has the settings {', '.join(sorted(rest))}")
        return Configured(network, training, frontend)

    def bank_of(self, frontend: FrontEnd | None) -> FeatureBank:
        """The features that a trial was trained on."""
        if self.banks is None or frontend is None or frontend == self.banks.frontend:
            return self.bank
        return replace(self.bank, features=self.banks.features(frontend))

    def fingerprint(self, space: SearchSpace, pruning: str) -> str:
        """Of everything that its trials depend on and that two machines can compare.

        Not the features themselves: the last bits of a sum may differ between processors.
        """
        told = [
            self.task,
            self.network,
            self.training,
            self.bank.features.shape,
            self.banks.frontend if self.banks else None,
            space,
            pruning,
            *self.split.patients.tolist(),
        ]
        digest = hashlib.sha256("\n".join(map(repr, told)).encode())
        for rows in (self.labels, self.bank.recording, *(rows for fold in self.folds for _, rows in fold.sides())):
            digest.update(np.ascontiguousarray(rows).tobytes() + b"|")
        return digest.hexdigest()
