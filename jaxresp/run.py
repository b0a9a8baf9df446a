"""All of it: every task on every front end, from a corpus to Classifier directories and one table.

    work/
      run.json            configuration and corpus: a folder belongs to one of each
      models/<name>/      study and trials, out-of-fold answers, result.json once it is finished
      classifiers/<name>/ the released directories
      results.json        the table, and the name of the quick model
      report.md           the same for reading
      report.html         the same with figures, as one page
      progress.json       how far it is, while it is at work and after
      mlflow.db, mlruns/

Each model is finished before the next begins, and a finished trial or model is not done again: the command that was
killed continues when it is given again.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

from jaxresp import shipped, tracking
from jaxresp.classifier import Classifier, Spec, classifier_name
from jaxresp.cohort import Cohort
from jaxresp.common_band import kept_in_band, wants_common_band
from jaxresp.corpus import Corpus
from jaxresp.corpus.recordings import corpus_identity
from jaxresp.evaluate import report as reporting
from jaxresp.evaluate.answers import answers_csv
from jaxresp.evaluate.card import card as model_card
from jaxresp.evaluate.comparing import Comparison, compare
from jaxresp.evaluate.result import Result
from jaxresp.features import FeatureBank
from jaxresp.files import sha256, write_whole
from jaxresp.frontend import FrontEnd
from jaxresp.judging import judge
from jaxresp.material import Material
from jaxresp.models import NetworkConfig
from jaxresp.progress import Following, Listener
from jaxresp.run_config import RunConfig, Searching, in_common_band
from jaxresp.run_report import write_html
from jaxresp.run_report.finished import answers_of, read_json
from jaxresp.splits import Split, make_split
from jaxresp.sweep import Banks, Problem, Trial, best_trial, fit_final, space_named, sweep
from jaxresp.taxonomy import Task, task_named
from jaxresp.window import WindowConfig
from jaxresp.workdir import claim, sole_user

if TYPE_CHECKING:
    from jaxresp.tracking import Tracker


def run(
    corpus: Corpus,
    work: Path,
    config: RunConfig,
    *,
    tracking_uri: str | None = None,
    searching: Searching | None = None,
    progress: Listener = lambda standing: None,
) -> tuple[Result, ...]:
    """Train, tune and evaluate every model, and leave its Classifier directory.

    Raises:
        WorkdirInUse: another process is working in the folder.
        WorkdirMismatch: the folder belongs to another run.
        SplitError: the corpus cannot be split so, or a class has too few patients, said before anything is trained.
        TrackingError: MLflow's store or server cannot be used, said before anything is trained. If it goes later, the
            run goes on, and a warning says what is to be logged by the same command.
    """
    with sole_user(work, work / "classifiers", work / "models", *work.glob("models/*")):
        return _run(corpus, work, config, tracking_uri, searching or Searching(), progress)


def _run(
    corpus: Corpus,
    work: Path,
    config: RunConfig,
    tracking_uri: str | None,
    searching: Searching,
    progress: Listener,
) -> tuple[Result, ...]:
    mine = {"config": asdict(config), "corpus": corpus_identity(corpus), "jax": jax.__version__}
    claim(work / "run.json", mine)  # trials of another configuration or corpus must not be taken for its own
    tasks = sorted(map(task_named, config.tasks), key=lambda task: task.labels_intervals)  # those of one bank together
    todo = [(task, frontend) for frontend in config.frontends() for task in tasks]
    material = Material(corpus)
    splits = {task.name: _split(material.rows(task), task, config) for task in tasks}  # they may be impossible
    names = [classifier_name(task, frontend) for task, frontend in todo]
    following = Following(work / "progress.json", progress, names, config.n_trials)
    done: dict[str, Result] = {}
    tracker: Tracker | None = None
    try:
        for name, (task, frontend) in zip(names, todo, strict=True):
            spool = tracking.Spool(work, name)
            finished = work / "models" / name / "result.json"
            kept = finished.is_file() and (work / "classifiers" / name).is_dir()
            if kept:
                done[name] = read_json(finished, Result.from_json)
                following.model_kept()
                if not spool.owes(tracking.store_name(tracking_uri)):
                    continue
            else:
                following.model_begins(name, len(spool.trials()))
            if tracker is None:  # MLflow takes seconds to import: only once there is something to tell
                tracker = tracking.Tracker(work, _experiment(corpus), tracking_uri)
            if kept:
                tracker.catch_up(name)
                continue
            problem = Problem(
                name=name,
                bank=_features(material, task, frontend, config),
                labels=material.rows(task).labels(task),
                task=task,
                network=NetworkConfig(frontend.network, config.filters, config.dense),
                training=replace(config.training, seed=config.seed),
                split=splits[task.name],
                banks=Banks(
                    work / "models" / name / "banks",
                    frontend,
                    lambda tuned, task=task: _features(material, task, tuned, config),  # type: ignore[misc]
                ),
            )
            done[name] = _one_model(problem, frontend, material, work, config, searching, tracker, following)
            following.model_ended()
        results = tuple(
            done[classifier_name(task_named(t), frontend)] for t in config.tasks for frontend in config.frontends()
        )
        following.closing("comparing and reporting")
        _write_table(work, results, config.seed)
    except BaseException as error:
        following.failed(error)
        if tracker is not None:
            tracker.close(stopped=True)
        raise
    if tracker is not None:
        following.closing("logging to MLflow")
        tracker.close()
    following.ended()
    return results


def _write_table(work: Path, results: tuple[Result, ...], seed: int) -> None:
    quick = min((r for r in results if r.task == results[-1].task), key=lambda r: r.validation_loss).name
    comparisons = _compared(work, results, seed)
    table = {
        "quick": quick,
        "results": [result.to_json() for result in results],
        "compared": [comparison.to_json() for comparison in comparisons],
    }
    write_whole(work / "results.json", json.dumps(table, indent=2) + "\n")
    write_whole(work / "report.md", reporting.markdown(results, comparisons))
    write_html(work, work / "report.html")


def _one_model(
    problem: Problem,
    frontend: FrontEnd,
    material: Material,
    work: Path,
    config: RunConfig,
    searching: Searching,
    tracker: Tracker,
    following: Following,
) -> Result:
    folder, corpus = work / "models" / problem.name, material.rows(problem.task)
    problem.split.assert_proven(corpus.patient)
    origin, window = _origin(corpus, problem, config), config.window_of(problem.task)
    study = tracker.start_study(problem.name, _tags(origin), _params(problem, frontend, window, config))

    def trial_ended(trial: Trial) -> None:
        tracker.log_trial(study, trial)
        following.trial_ended(trial)

    try:
        common_band = config.common_band and wants_common_band(problem.task, frontend)
        tuned = 0.75 if common_band else 0.85
        following.trials_begin()
        trials = sweep(
            problem,
            folder,
            n_trials=config.n_trials,
            space=space_named(config.space, frontend.name),
            pruning=config.pruning,
            storage_url=searching.storage_url,
            study_name=searching.name_of(problem.name, len(config.tasks) * len(config.features)),
            workers=searching.workers,
            report=lambda what, done: following.doing(what, 0.05 + tuned * done),
            on_trial=trial_ended,
        )
        network, frontend = best_trial(trials).network, best_trial(trials).frontend or frontend
        following.doing("calibrating and judging", 0.05 + tuned)
        judged = judge(problem, frontend, corpus, trials, window, seed=config.seed)
        result = replace(judged.result, left_out=material.left_out(problem.task))
        if common_band:
            narrow = in_common_band(frontend)
            told = kept_in_band(
                folder / "common_band.json",
                problem,
                trials,
                lambda: _features(material, problem.task, narrow, config),
                narrow.heard,
                corpus,
                judged.probabilities,
                seed=config.seed,
                report=lambda what, done: following.doing(what, 0.8 + 0.1 * done),
            )
            result = replace(result, common_band=told)
        checkpoint = folder / "final-fit"
        fit = fit_final(problem, trials, lambda what, done: following.doing(what, 0.9 + 0.05 * done), checkpoint)
        cohort = _cohort(corpus, problem)
        spec = Spec(problem.name, problem.task, frontend, network, window, config.seed, cohort)
        classifier = Classifier.from_fit(
            spec,
            fit,
            calibration=judged.calibration,
            gate=judged.gate,
            card=model_card(result),
            provenance=origin | {"mlflow_study": study},
        )
        following.doing("saving", 0.96)
        classifier.save(work / "classifiers" / problem.name)
        table = answers_csv(
            corpus.recording,
            corpus.patient,
            problem.labels,
            judged.probabilities,
            problem.folds,
            problem.task.classes,
        )
        write_whole(folder / "out_of_fold.csv", table)
        write_whole(folder / "folds.json", json.dumps(problem.split.proof, indent=2) + "\n")
        checkpoint.unlink(missing_ok=True)
        shutil.rmtree(folder / "banks", ignore_errors=True)  # there only where a front end was tuned
        # Last: with it the model is finished, and nobody comes back to clear up.
        write_whole(folder / "result.json", json.dumps(result.to_json(), indent=2) + "\n")
        tracker.finish_study(study)
    except BaseException as error:  # Ctrl-C too: the run must not stand in MLflow as still going
        tracker.fail_study(study, f"{type(error).__name__}: {error}")
        raise
    return result


def _compared(work: Path, results: tuple[Result, ...], seed: int) -> tuple[Comparison, ...]:
    """Every model against its task's lowest validation loss: a choice that no tested recording had a say in."""
    found = []
    for task in dict.fromkeys(result.task for result in results):
        of_task = sorted((r for r in results if r.task == task), key=lambda r: (r.validation_loss, r.name))
        if len(of_task) > 1:
            found.append(compare(task, {r.name: answers_of(work / "models" / r.name) for r in of_task}, seed=seed))
    return tuple(found)


def _features(material: Material, task: Task, frontend: FrontEnd, config: RunConfig) -> FeatureBank:
    variants = config.variants_of(frontend)
    return material.features(task, frontend, config.window_of(task), variants=variants, seed=config.seed)


def _split(corpus: Corpus, task: Task, config: RunConfig) -> Split:
    return make_split(config.split, corpus, task, n_folds=config.n_folds, seed=config.seed)


def _experiment(corpus: Corpus) -> str:
    return f"{corpus.name} {corpus.version}{' (made up)' if corpus.made_up else ' (partial)' if corpus.partial else ''}"


def _cohort(corpus: Corpus, problem: Problem) -> Cohort:
    fitted = problem.split.fitted
    return Cohort.of(
        age_years=corpus.age_years[fitted],
        native_rate_hz=corpus.native_rate_hz[fitted],
        bandwidth_hz=corpus.bandwidth_hz[fitted],
    )


def _origin(corpus: Corpus, problem: Problem, config: RunConfig) -> dict[str, Any]:
    """Of which recordings, split, configuration and code a model comes."""
    split = "\n".join(f"{side} {rows.tolist()}" for fold in problem.folds for side, rows in fold.sides())
    return {
        "corpus": corpus_identity(corpus),
        "training_patients": sorted(set(corpus.patient[problem.split.fitted].tolist())),
        "split": problem.split.to_json(),
        "split_sha256": sha256(split.encode()),
        "configuration_sha256": sha256(json.dumps(asdict(config), sort_keys=True).encode()),
        "code": code_version(),
    }


def _tags(origin: Mapping[str, Any]) -> dict[str, str]:
    """What a study is found by in MLflow."""
    hashes = {key: origin[key] for key in ("split_sha256", "configuration_sha256", "code")}
    return {"corpus": origin["corpus"]["fingerprint"], **hashes}


def _params(problem: Problem, frontend: FrontEnd, window: WindowConfig, config: RunConfig) -> dict[str, Any]:
    """What a study was set to: task, front end, windows, split, what every trial trains with, what is searched."""
    return {
        "task": problem.task.name,
        "split": config.split,
        "n_folds": len(problem.folds),
        "n_trials": config.n_trials,
        "network": problem.network.name,
        **{f"features.{key}": value for key, value in frontend.to_dict().items()},
        **{f"window.{key}": value for key, value in asdict(window).items()},
        **problem.training.to_dict(),
        "space": config.space,
        "pruning": config.pruning,
        **{f"space.{key}": value for key, value in space_named(config.space, frontend.name).dimensions.items()},
    }


def code_version() -> str:
    """The commit of the checkout, with a mark when it is changed; else the hash of the installed modules."""
    package = Path(shipped.__file__).parent
    try:
        _git(package, "ls-files", "--error-unmatch", "__init__.py")  # an environment may lie inside another checkout
        return _git(package, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.CalledProcessError):  # no git, or not a checkout: an installed package
        sources = sorted(package.rglob("*.py"))
        return "sha256:" + sha256("".join(sha256(path) for path in sources).encode())


def _git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True).stdout.strip()
