"""What a run is, as its user gives it; and who works on its studies."""

from __future__ import annotations

from dataclasses import dataclass, field

from jaxresp.errors import JaxrespError
from jaxresp.frontend import FrontEnd, InvalidFrontend, frontend_from_dict
from jaxresp.splits import check_split_name
from jaxresp.sweep import space_named
from jaxresp.sweep.pruning import check_pruning
from jaxresp.taxonomy import Task, task_named
from jaxresp.train import TrainConfig
from jaxresp.window import WINDOWS, WindowConfig


@dataclass(frozen=True)
class RunConfig:
    """What to run.

    Attributes:
        tasks: names of tasks.
        features: names of front ends.
        band: name of the band that every front end hears; "common" is what every stethoscope here records.
        common_band: whether a diagnosis by a wider band is also asked in the common one: one more fit per fold.
        n_mels: mel bands of every front end; None for each one's own.
        n_trials: settings tried per model; the first are the defaults.
        space: what is searched, by name; one of jaxresp.sweep.SPACES.
        pruning: how trials are given up early; one of jaxresp.sweep.PRUNINGS.
        split: how the patients are divided; one of jaxresp.splits.SPLITS.
        n_folds: of splits that have folds to choose; published ones have one.
        variants: augmented versions of each training window, for front ends that augment.
        window: how recordings, cycles or events are cut; None for what suits the unit of the task (WINDOWS).
        filters: of the first trial's network.
        dense: units of the first trial's network.
        training: settings of every trial that are not tuned, and the first trial's.
        seed: of folds, augmentation, proposals, weights and intervals.
    """

    tasks: tuple[str, ...] = ("binary", "multiclass")
    features: tuple[str, ...] = ("mfcc", "logmel", "augmented")
    band: str = "wide"
    common_band: bool = True
    n_mels: int | None = None
    n_trials: int = 2
    space: str = "original"
    pruning: str = "none"
    split: str = "folds"
    n_folds: int = 3
    variants: int = 3
    window: WindowConfig | None = None
    filters: int = 16
    dense: int = 128
    training: TrainConfig = field(default_factory=TrainConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.n_trials, self.n_folds - 1) < 1 or self.variants < 0:
            raise JaxrespError("a run needs at least one trial and two folds, and no negative number of variants")
        if self.seed < 0:
            raise JaxrespError(f"the seed is {self.seed}; it cannot be negative")
        for what, names in (("tasks", self.tasks), ("features", self.features)):
            if not names or len(set(names)) != len(names):
                raise JaxrespError(f"a run's {what} are {names}; name at least one, and each once")
        for name in self.tasks:
            task_named(name)  # raises with the nearest name
        check_split_name(self.split)
        check_pruning(self.pruning)
        for name in self.features:
            space_named(self.space, name)
        for frontend in self.frontends():  # raises what a front end has to say about its name or its band
            if self.common_band:
                in_common_band(frontend)

    def window_of(self, task: Task) -> WindowConfig:
        """How what a task answers is cut."""
        return self.window or WINDOWS[task.unit]

    def variants_of(self, frontend: FrontEnd) -> int:
        """Augmented versions of each training window; none where SMOTE makes examples of clean ones."""
        return self.variants if frontend.augments and self.training.balance != "smote" else 0

    def frontends(self) -> tuple[FrontEnd, ...]:
        """The front ends of this run.

        Raises:
            UnknownFrontend: no such name.
            InvalidFrontend: no such band or number of mel bands, or one that the front end cannot hear.
        """
        settings = {"band": self.band} | ({} if self.n_mels is None else {"n_mels": self.n_mels})
        return tuple(frontend_from_dict({"name": name} | settings) for name in self.features)


@dataclass(frozen=True)
class Searching:
    """Who works on the studies and where they are kept; no part of what is run, which may go on with another.

    Attributes:
        storage_url: see jaxresp.sweep.storages.open_store.
        study_name: in a storage that others use too; the model's by default, and put before it where there are several.
        workers: processes that train.
    """

    storage_url: str | None = None
    study_name: str | None = None
    workers: int = 1

    def name_of(self, model: str, n_models: int) -> str:
        """What a model's study is called."""
        if self.study_name is None:
            return model
        return self.study_name if n_models == 1 else f"{self.study_name}/{model}"


def in_common_band(frontend: FrontEnd) -> FrontEnd:
    try:
        return frontend.in_common_band()
    except InvalidFrontend as error:
        raise InvalidFrontend(
            f"{error} (in the common band, which a diagnosis is asked in too: common_band=False, or --no-common-band, "
            "leaves that out)"
        ) from error
