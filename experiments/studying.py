"""One configuration judged: the study of `jaxresp run` without the network that it releases, which no experiment needs.

    FOLDER/run.json              configuration and corpus: a folder belongs to one of each
    FOLDER/models/<name>/        trials, out_of_fold.csv, and result.json once it is finished
    FOLDER/report.md             what `jaxresp run` would write of it

A finished trial or model is not done again. Features are computed once for all the seeds of a configuration.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import jax

from jaxresp.common_band import kept_in_band, wants_common_band
from jaxresp.corpus.recordings import corpus_identity
from jaxresp.evaluate import report
from jaxresp.evaluate.answers import answers_csv
from jaxresp.evaluate.result import Result
from jaxresp.features import FeatureBank
from jaxresp.files import write_whole
from jaxresp.frontend import FrontEnd
from jaxresp.judging import judge
from jaxresp.material import Material
from jaxresp.models import NetworkConfig
from jaxresp.run_config import RunConfig
from jaxresp.run_report.finished import read_json
from jaxresp.splits import make_split
from jaxresp.sweep import Problem, sweep
from jaxresp.taxonomy import Task, task_named
from jaxresp.workdir import claim, sole_user

#: Called with (model, what it is doing, fraction of it done).
Progress = Callable[[str, str, float], None]


@dataclass(frozen=True)
class Setting:
    """What an experiment tries.

    Attributes:
        config: as of `jaxresp run`.
        network: what of a NetworkConfig a RunConfig does not carry, or has otherwise, by its name.
    """

    config: RunConfig
    network: Mapping[str, Any] = field(default_factory=dict)

    def network_of(self, frontend: FrontEnd) -> NetworkConfig:
        """The network of every fit."""
        usual = {"name": frontend.network, "filters": self.config.filters, "dense": self.config.dense}
        return NetworkConfig(**usual | dict(self.network))

    def to_json(self) -> dict[str, Any]:
        """Plain types, for the ledger."""
        return asdict(self.config) | {"network": dict(self.network)}


def studied(material: Material, folder: Path, setting: Setting, progress: Progress) -> tuple[Result, ...]:
    """Train and judge every task on every front end of a setting; what is finished is read back.

    Raises:
        WorkdirMismatch, WorkdirInUse: the folder is another setting's, or another process is at work in it.
        SplitError: the corpus cannot be split so.
    """
    config, whole = setting.config, material.corpus
    with sole_user(folder, folder / "models", *folder.glob("models/*")):
        claim(
            folder / "run.json",
            {"config": setting.to_json(), "corpus": corpus_identity(whole), "jax": jax.__version__},
        )
        results = tuple(
            _one_model(material, folder, setting, task_named(name), frontend, progress)
            for frontend in config.frontends()
            for name in config.tasks
        )
        write_whole(folder / "report.md", report.markdown(results))
    return results


def _one_model(
    material: Material, folder: Path, setting: Setting, task: Task, frontend: FrontEnd, progress: Progress
) -> Result:
    config, name = setting.config, f"{task.name}-{frontend.name}"
    models = folder / "models" / name
    if (models / "result.json").is_file():
        return read_json(models / "result.json", Result.from_json)
    progress(name, "features", 0.0)
    asked, window = material.rows(task), config.window_of(task)

    def features_of(each: FrontEnd) -> FeatureBank:
        variants = config.variants_of(each)
        return material.features(task, each, window, variants=variants, seed=config.seed)

    problem = Problem(
        name=name,
        bank=features_of(frontend),
        labels=asked.labels(task),
        task=task,
        network=setting.network_of(frontend),
        training=replace(config.training, seed=config.seed),
        split=make_split(config.split, asked, task, n_folds=config.n_folds, seed=config.seed),
    )
    trials = sweep(problem, models, n_trials=config.n_trials, report=lambda what, done: progress(name, what, done))
    judged = judge(problem, frontend, asked, trials, window, seed=config.seed)
    result = replace(judged.result, left_out=material.left_out(task))
    if config.common_band and wants_common_band(task, frontend):
        narrow = frontend.in_common_band()
        told = kept_in_band(
            models / "common_band.json",
            problem,
            trials,
            lambda: features_of(narrow),
            narrow.heard,
            asked,
            judged.probabilities,
            seed=config.seed,
            report=lambda what, done: progress(name, what, done),
        )
        result = replace(result, common_band=told)
    answers = answers_csv(
        asked.recording, asked.patient, problem.labels, judged.probabilities, problem.folds, task.classes
    )
    write_whole(models / "out_of_fold.csv", answers)
    write_whole(models / "result.json", json.dumps(result.to_json(), indent=2) + "\n")
    return result
