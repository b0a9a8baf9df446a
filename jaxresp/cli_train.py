"""`jaxresp run`, `train`, `sweep` and `design`: what trains networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jaxresp import cli_settings
from jaxresp.bands import BANDS
from jaxresp.cli_settings import FOLDER, NEW, SOURCE

if TYPE_CHECKING:
    from jaxresp.corpus import Corpus
    from jaxresp.run_config import RunConfig, Searching

TASKS = (
    "binary", "multiclass", "multiclass-literature", "diagnosis", "obstructive",
    "sound", "cycles", "cycles-binary", "sprsound-1-1", "sprsound-1-2", "sprsound-2-1", "sprsound-2-2",
)  # fmt: skip
FEATURES = ("mfcc", "logmel", "augmented")
SPACES = ("original", "wide")
PRUNINGS = ("median", "hyperband", "none")


def _run_options(command: Any) -> Any:
    for option in (
        click.option("--seed", default=0, help="Of folds, weights, augmentation and proposals."),
        click.option("--folds", default=3, help="Patient-disjoint folds."),
        click.option("--split", default="folds", help="How patients are divided; `jaxresp splits` lists the ways."),
        click.option("--epochs", default=50, help="Most epochs of one training."),
        click.option(
            "--band",
            type=click.Choice(tuple(BANDS)),
            default="wide",
            help="What is heard: wide, 50–5000 Hz; or common, 50–1800 Hz, what every stethoscope of ICBHI records.",
        ),
        click.option(
            "--common-band/--no-common-band",
            default=True,
            help="Ask a diagnosis in the common band too: one more training per fold and model.",
        ),
        click.option("--n-mels", type=int, help="Mel bands of the front ends; by default each one's own."),
        click.option("--balance", type=click.Choice(cli_settings.BALANCES), default="class_weights"),
        click.option("--tracking-uri", help="An MLflow server; by default SQLite in the work folder."),
    ):
        command = option(command)
    return command


def _search_options(pruning: str) -> Any:
    """What is searched, where the study is kept, and who works on it; `pruning` is the default."""

    def with_options(command: Any) -> Any:
        for option in (
            click.option(
                "--study", "study_name", help="The study's name in a shared storage; it continues where there is one."
            ),
            click.option(
                "--storage",
                "storage_url",
                help="Where the study is kept: sqlite, journal (both in the work folder), or postgresql://… for many "
                "machines.  [default: sqlite]",
            ),
            click.option("--workers", default=1, help="Processes that train, each on its share of the cores."),
            click.option(
                "--pruning",
                type=click.Choice(PRUNINGS),
                default=pruning,
                help="How trials that fall behind are given up before their end.",
            ),
            click.option(
                "--space",
                type=click.Choice(SPACES),
                default="original",
                help="What is searched: filters, dense units, dropout and learning rate; or wide, that and depth, "
                "kernel, weight decay, label smoothing, balance, mixup, masks, schedule and the front end.",
            ),
        ):
            command = option(command)
        return command

    return with_options


def _one_model(command: Any) -> Any:
    command = click.option("--features", type=click.Choice(FEATURES), default="logmel")(command)
    return click.option("--task", type=click.Choice(TASKS), default="binary")(command)


@click.command()
@click.argument("source", type=SOURCE)
@click.option("--work", type=NEW, required=True, help="Where everything is written; the same folder continues.")
@click.option(
    "--trials", default=2, help="Settings tried per model: the defaults, then drawn ones. Time grows with it."
)
@click.option("--partial", is_flag=True, help="Fewer recordings than were published will do.")
@_search_options("none")
@_run_options
def run(source: Path, work: Path, trials: int, partial: bool, **options: Any) -> None:
    """Everything: prepare SOURCE (an ICBHI folder or archive), tune, train and evaluate all six models."""
    searching, options = _searching(options)
    whole_run(source, work, config_of(trials=trials, **options), partial, options["tracking_uri"], searching)


@click.command()
@click.argument("prepared", type=FOLDER)
@click.option("--work", type=NEW, required=True, help="Where everything is written; the same folder continues.")
@_one_model
@click.option("--filters", default=16, help="Filters of the first block.")
@click.option("--dense", default=128, help="Units of the dense layer.")
@cli_settings.training_options
@_run_options
def train(prepared: Path, work: Path, task: str, features: str, **options: Any) -> None:
    """Train and evaluate one model with given settings, on a PREPARED dataset."""
    config = config_of(tasks=(task,), features=(features,), trials=1, **options)
    execute(load(prepared), work, config, options["tracking_uri"])


@click.command()
@click.argument("prepared", type=FOLDER)
@click.option("--work", type=NEW, required=True, help="Where everything is written; the same folder continues.")
@_one_model
@click.option("--trials", default=20, help="Settings to try.")
@_search_options("median")
@_run_options
def sweep(prepared: Path, work: Path, task: str, features: str, trials: int, **options: Any) -> None:
    """Tune one model by Optuna on a PREPARED dataset; the first settings tried are the defaults."""
    searching, options = _searching(options)
    config = config_of(tasks=(task,), features=(features,), trials=trials, **options)
    execute(load(prepared), work, config, options["tracking_uri"], searching)


def _several(name: str, choices: Sequence[str], what: str) -> Any:
    return click.option(
        name, multiple=True, type=click.Choice(choices), help=f"{what}; give it again for more.  [default: all]"
    )


@click.command()
@click.argument("prepared", type=FOLDER)
@click.option("--out", type=NEW, required=True, help="Where the table is written; the same folder continues.")
@click.option("--task", type=click.Choice(TASKS), default="binary")
@_several("--band", tuple(BANDS), "What is heard")
@_several("--balance", cli_settings.BALANCES, "What is done about rare classes")
@_several("--augmentation", ("off", "copies"), "Changed copies of the training sounds")
@_several("--features", FEATURES, "A front end")
@_several("--network", ("cnn1d", "cnn2d"), "A network")
@click.option("--folds", default=3, help="Patient-disjoint folds.")
@click.option("--epochs", default=50, help="Most epochs of one training.")
@click.option("--seed", default=0, help="Of folds, copies, weights and intervals.")
@click.option("--yes", is_flag=True, help="Begin without asking.")
def design(prepared: Path, out: Path, task: str, epochs: int, folds: int, seed: int, yes: bool, **axes: Any) -> None:
    """The design space: band × balance × augmentation × features × network, each cross-validated on PREPARED.

    Untuned. Leaves design.md and design.csv, with the macro metrics of every cell and their patient intervals.
    """
    from rich.console import Console

    from jaxresp.allocator import keep_freed
    from jaxresp.compilation import use_persistent_cache
    from jaxresp.design import Axes, DesignConfig, cells_of, run_design
    from jaxresp.display import plain, progress_display
    from jaxresp.train import TrainConfig

    config = DesignConfig(
        task=task,
        axes=Axes(**{name: values for name, values in axes.items() if values}),
        n_folds=folds,
        training=TrainConfig(max_epochs=epochs),
        seed=seed,
    )
    cells = cells_of(config.axes)
    click.echo(f"{len(cells)} cells × {folds} folds: {len(cells) * folds} trainings of at most {epochs} epochs")
    if not yes:
        click.confirm("begin?", default=True, abort=True)
    keep_freed()
    use_persistent_cache()
    corpus = load(prepared)
    describe(corpus)
    console = Console()
    with progress_display(console) as listener:
        table = run_design(corpus, out, config, progress=plain(listener))
    click.echo(table)
    click.echo(f"design.md, design.csv and the answers of every cell: {out}")


def _searching(options: dict[str, Any]) -> tuple[Searching, dict[str, Any]]:
    """Who works on the study and where it is kept: no part of what is run, so a run goes on with others."""
    from jaxresp.run_config import Searching

    rest = dict(options)
    return Searching(**{name: rest.pop(name) for name in ("storage_url", "study_name", "workers")}), rest


def config_of(
    *,
    trials: int,
    seed: int = 0,
    folds: int = 3,
    split: str = "folds",
    epochs: int = 50,
    tracking_uri: str | None = None,
    **more: Any,
) -> RunConfig:
    from jaxresp.run_config import RunConfig
    from jaxresp.train import TrainConfig

    del tracking_uri  # where it is logged is no part of what is run
    training = TrainConfig(max_epochs=epochs, **cli_settings.settings_of(more))
    return RunConfig(n_trials=trials, n_folds=folds, split=split, seed=seed, training=training, **more)


def whole_run(
    source: Path,
    work: Path,
    config: RunConfig,
    partial: bool,
    tracking_uri: str | None,
    searching: Searching | None = None,
) -> None:
    from jaxresp import corpus

    loaded = corpus.load(corpus.prepare(source, work / "data", partial=partial))
    execute(loaded, work, config, tracking_uri, searching)
    if not (work / "data.html").is_file():  # a work folder belongs to one corpus
        from jaxresp.explore import overview
        from jaxresp.files import write_whole

        write_whole(work / "data.html", overview(loaded))


def execute(
    corpus: Corpus, work: Path, config: RunConfig, tracking_uri: str | None, searching: Searching | None = None
) -> None:
    from rich.console import Console

    from jaxresp.allocator import give_back, keep_freed
    from jaxresp.compilation import use_persistent_cache
    from jaxresp.display import print_results, progress_display
    from jaxresp.run import run as run_all

    keep_freed()
    use_persistent_cache()
    describe(corpus)
    console = Console()
    with progress_display(console) as progress:
        results = run_all(corpus, work, config, tracking_uri=tracking_uri, progress=progress, searching=searching)
    give_back()  # the demo goes on to serve, and this process only waits
    print_results(console, results)
    click.echo(f"Classifiers, report.html, report.md and MLflow store: {work}")


def load(prepared: Path) -> Corpus:
    from jaxresp import corpus

    return corpus.load(prepared)


def describe(corpus: Corpus) -> None:
    patients = len(set(corpus.patient.tolist()))
    seconds = len(corpus.samples) / corpus.rate_hz
    partial = ", partial" if corpus.partial else ""
    click.echo(f"{corpus.name}: {len(corpus)} recordings of {patients} patients, {seconds / 60:.1f} min{partial}")
    tell(corpus.findings)


def tell(findings: Sequence[str]) -> None:
    """What the builder found and nobody can mend."""
    for finding in findings:
        click.echo(f"  found: {finding}")
