"""Which settings are searched, by name; each is a field of the network, of its training or of its front end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jaxresp.errors import JaxrespError

if TYPE_CHECKING:
    import optuna


class UnknownSpace(JaxrespError):
    """No search space has this name."""


@dataclass(frozen=True)
class Choice:
    """One of several values."""

    options: tuple[Any, ...]

    def suggest(self, trial: optuna.Trial, name: str) -> Any:
        return trial.suggest_categorical(name, self.options)

    def holds(self, value: Any) -> bool:
        return value in self.options


@dataclass(frozen=True)
class Whole:
    """A whole number from `low` to `high`, both included, in steps."""

    low: int
    high: int
    step: int = 1

    def suggest(self, trial: optuna.Trial, name: str) -> int:
        return trial.suggest_int(name, self.low, self.high, step=self.step)

    def holds(self, value: Any) -> bool:
        return value in range(self.low, self.high + 1, self.step)


@dataclass(frozen=True)
class Real:
    """A number from `low` to `high`; `log` draws its logarithm evenly."""

    low: float
    high: float
    log: bool = False

    def suggest(self, trial: optuna.Trial, name: str) -> float:
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def holds(self, value: Any) -> bool:
        return bool(self.low <= value <= self.high)


Dimension = Choice | Whole | Real


@dataclass(frozen=True)
class SearchSpace:
    """What is searched.

    Attributes:
        name: in reports.
        dimensions: field → its values; the fields of NetworkConfig, TrainConfig and of the front end, whichever has it.
    """

    name: str
    dimensions: Mapping[str, Dimension]

    def holds(self, settings: Mapping[str, Any]) -> bool:
        """Whether these settings could be drawn."""
        return all(dimension.holds(settings[name]) for name, dimension in self.dimensions.items())

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """Settings drawn by the study's sampler."""
        return {name: dimension.suggest(trial, name) for name, dimension in self.dimensions.items()}


#: The original project's search space.
ORIGINAL = SearchSpace(
    "original",
    {
        "filters": Choice((16, 32, 64)),
        "dense": Whole(64, 256, 32),
        "dropout": Real(0.1, 0.5),
        "learning_rate": Real(1e-4, 1e-2, log=True),
    },
)

#: What every front end shares in the wide space. Not among them: the band, and how long a window is. A band is chosen
#: by its loss only at the price of hearing the recorder, and windows of another length are other units of the report's
#: numbers; `jaxresp design` puts bands beside each other. SMOTE neither: it asks for another bank.
_WIDE: Mapping[str, Dimension] = {
    **ORIGINAL.dimensions,
    "blocks": Whole(2, 4),
    "kernel": Choice((3, 5, 7)),
    "weight_decay": Real(1e-6, 1e-1, log=True),
    "label_smoothing": Real(0.0, 0.2),
    "balance": Choice(("class_weights", "balanced_sampling", "none")),
    "mixup": Choice((0.0, 0.1, 0.2, 0.4)),
    "time_mask": Real(0.0, 0.2),
    "schedule": Choice(("constant", "cosine")),
}

#: Front end → its own settings; each combination is a bank of features more.
_FRONT_END: Mapping[str, Mapping[str, Dimension]] = {
    # Neighbouring bands can be hidden together; neighbouring cepstral coefficients are no band.
    "logmel": {"n_mels": Choice((20, 30, 40)), "frequency_mask": Real(0.0, 0.2)},
    "mfcc": {"n_mfcc": Choice((13, 20, 40))},
    "augmented": {"n_mfcc": Choice((20, 40, 52))},
}


def _wide(frontend: str) -> SearchSpace:
    return SearchSpace("wide", {**_WIDE, **_FRONT_END.get(frontend, {})})


#: Name → the space for a front end of that name.
SPACES: dict[str, Callable[[str], SearchSpace]] = {"original": lambda frontend: ORIGINAL, "wide": _wide}


def space_named(name: str, frontend: str) -> SearchSpace:
    """The space of that name for a front end.

    Raises:
        UnknownSpace: there is none.
    """
    if name not in SPACES:
        raise UnknownSpace(f"there is no search space {name!r}; choose from {', '.join(SPACES)}")
    return SPACES[name](frontend)
