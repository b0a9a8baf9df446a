"""The command line: `jaxresp --help`. Each command imports what it needs when it is called."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

import jaxresp
from jaxresp import cli_audit, cli_data, cli_train
from jaxresp.cli_settings import FOLDER, NEW, SOURCE
from jaxresp.errors import JaxrespError

if TYPE_CHECKING:
    from types import ModuleType


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_PAGE = click.Path(dir_okay=False, path_type=Path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: a user's mistake is one clear line and exit status 2, Ctrl-C is 130."""
    try:
        status = cli.main(args=arguments, prog_name="jaxresp", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except JaxrespError as error:
        click.echo(f"jaxresp: {error}", err=True)
        status = 2
    except (KeyboardInterrupt, click.Abort):
        click.echo("jaxresp: stopped; what was finished is kept, and the same command continues from there", err=True)
        status = 130
    sys.exit(status if isinstance(status, int) else 0)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(jaxresp.__version__)
def cli() -> None:
    """Respiratory-sound classification, from a folder of recordings to a served answer.

    A research tool, not a medical device.
    """


cli.add_command(cli_data.data)
cli.add_command(cli_audit.audit)
for _command in (cli_train.run, cli_train.train, cli_train.sweep, cli_train.design):
    cli.add_command(_command)


@cli.command()
@click.argument("source", type=SOURCE)
@click.option("--data", type=NEW, default=Path("data"), help="Where prepared datasets are kept.")
@click.option("--dataset", help="What SOURCE is, such as icbhi; guessed from its file names if not given.")
@click.option("--config", default="recordings_16k", help="Which configuration of the dataset.")
@click.option("--partial", is_flag=True, help="Fewer recordings than were published will do.")
def prepare(source: Path, data: Path, dataset: str | None, config: str, partial: bool) -> None:
    """Build the TFDS dataset from SOURCE: a publisher's folder or archive, as it was downloaded."""
    from jaxresp import corpus

    dataset = dataset or corpus.guess_dataset(source)
    directory = corpus.prepare(source, data, dataset=dataset, config=config, partial=partial)
    metadata = corpus.read_metadata(directory)
    if corpus.is_loadable(metadata):
        cli_train.describe(corpus.load(directory))
    else:
        click.echo(f"{metadata['name']} {metadata['version']}: {metadata['total_examples']} {metadata['examples']}")
        cli_train.tell(metadata["findings"])
    click.echo(directory)


@cli.command()
@click.argument("prepared", type=FOLDER)
@click.option("--out", type=NEW, help="The report's folder.  [default: explore-NAME here]")
@click.option("--with-sound", is_flag=True, help="Short clips in the page: it must then stay with you.")
@click.option("--seed", default=0, help="Of the recordings shown, the folds and the intervals.")
def explore(prepared: Path, out: Path | None, with_sound: bool, seed: int) -> None:
    """A page about a PREPARED dataset: who and what is in it, and what it gives away without listening."""
    from jaxresp.explore import ExploreConfig, write_report

    loaded = cli_train.load(prepared)
    click.echo(write_report(loaded, out or Path(f"explore-{loaded.name}"), ExploreConfig(with_sound, seed)))


@cli.command()
@click.argument("work", type=FOLDER)
def status(work: Path) -> None:
    """Where a run stands: models and trials done, the best so far, time left. It may be at work meanwhile."""
    from jaxresp.progress import read_progress, status_lines
    from jaxresp.workdir import in_use

    click.echo("\n".join(status_lines(read_progress(work), at_work=in_use(work))))


@cli.command()
@click.argument("prepared", type=FOLDER, nargs=-1, required=True)
@click.option("--task", help="Whose classes stand on the sides; by default the first that fits the recordings.")
@click.option("--folds", default=3, help="Patient-disjoint folds.")
@click.option("--seed", default=0, help="Of folds and of validation patients.")
def splits(prepared: tuple[Path, ...], task: str | None, folds: int, seed: int) -> None:
    """The proof of every split of a PREPARED dataset: patients / recordings per class and side. Several become one."""
    from rich.console import Console

    from jaxresp.corpus import combine, units
    from jaxresp.splits import first_task, splits_of
    from jaxresp.splits.printing import print_splits
    from jaxresp.taxonomy import task_named

    corpora = [cli_train.load(folder) for folder in prepared]
    corpus = combine(corpora) if len(corpora) > 1 else corpora[0]
    cli_train.describe(corpus)
    chosen = first_task(corpus) if task is None else task_named(task)
    click.echo(f"task {chosen.name}; of every class: patients / {chosen.row}s\n")
    print_splits(Console(), *splits_of(units(corpus, chosen), chosen, n_folds=folds, seed=seed))


@cli.command()
@click.argument("path", type=FOLDER)
@click.option("--data", type=FOLDER, help="A prepared dataset of patients the Classifier was not trained on.")
@click.option("--html", type=_PAGE, help="Write the report of a finished run, one page, into this file.")
def evaluate(path: Path, data: Path | None, html: Path | None) -> None:
    """The table of a finished run (PATH is its work folder), or a Classifier directory on other patients (--data)."""
    from rich.console import Console

    if data is None and (path / "config.json").is_file():
        raise click.UsageError("PATH is a Classifier directory: name the patients to evaluate it on, with --data")
    if data is None:
        from jaxresp.display import print_results
        from jaxresp.run_report import load_results, write_html

        print_results(Console(), load_results(path))
        if html is not None:
            write_html(path, html)
            click.echo(html)
        return
    if html is not None:
        raise click.UsageError("--html is the report of a finished run: leave out --data, and give its work folder")
    from jaxresp.classifier import Classifier
    from jaxresp.evaluate.held_out import evaluate_held_out, lines

    classifier, corpus = Classifier.load(path), cli_train.load(data)
    click.echo("\n".join(lines(classifier, corpus, evaluate_held_out(classifier, corpus))))


@cli.command()
@click.argument("files", type=_FILE, nargs=-1, required=True)
@click.option("--model", type=FOLDER, required=True, help="A Classifier directory.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line, with the timeline.")
@click.option(
    "--prevalence",
    type=(str, float),
    multiple=True,
    metavar="CLASS SHARE",
    help="Share of the examined who have CLASS; give it for every class. By default all are equally frequent.",
)
def predict(files: tuple[Path, ...], model: Path, as_json: bool, prevalence: tuple[tuple[str, float], ...]) -> None:
    """Classify sound FILES."""
    from jaxresp.audio import AudioError
    from jaxresp.classifier import Classifier
    from jaxresp.prediction import NOTICE

    classifier, failed = Classifier.load(model), 0
    if prevalence:
        classifier = classifier.at_prevalence(dict(prevalence))
    for file in files:
        try:
            answer = classifier.predict(file)
        except AudioError as error:  # the other files still get their answer
            click.echo(f"jaxresp: {error}", err=True)
            failed += 1
            continue
        if as_json:
            click.echo(json.dumps({"file": str(file), **answer.to_json()}))
        else:
            shares = ", ".join(f"{name} {p:.3f}" for name, p in answer.probabilities.items())
            click.echo(f"{file}: {answer.label or f'no answer ({answer.reason})'} ({shares})")
            for warning in answer.warnings:
                click.echo(f"    {warning}")
    if not as_json:
        click.echo(NOTICE, err=True)
    if failed:
        raise JaxrespError(f"{failed} of {len(files)} files could not be classified")


@cli.command()
@click.argument("work", type=FOLDER)
def export(work: Path) -> None:
    """Put a finished run (its WORK folder) into BentoML's model store: six Classifiers and what is known of them."""
    for tag in _bento("store").store_classifiers(work):
        click.echo(tag)


@cli.command()
@click.argument("work", type=FOLDER, required=False)
@click.option("--port", default=3000)
@click.option("--host", default="127.0.0.1")
def serve(work: Path | None, port: int, host: str) -> None:
    """Serve the exported Classifiers: HTTP API, page at /ui, metrics at /metrics.

    With the WORK folder of a finished run, that is exported first.
    """
    if work is not None:
        _bento("serve").check_port(port, host)  # before anything in the store is replaced
        _bento("store").store_classifiers(work)
    sys.exit(_bento("serve").serve(port, host))


@cli.command()
@click.argument("out", type=NEW)
@click.option("--from", "work", type=FOLDER, help="A finished run's work folder.  [default: what was exported]")
@click.option("--title", default="Respiratory sounds", help="Of the Space.")
@click.option(
    "--i-may-publish", "may_publish", is_flag=True, help="Models of patients' recordings: you have cleared it."
)
def space(out: Path, work: Path | None, title: str, may_publish: bool) -> None:
    """Write a Hugging Face Space into the folder OUT: page, API and six models; it runs by itself anywhere."""
    folder = _bento("space").write_space(out, work, title=title, may_publish=may_publish)
    click.echo(
        f"{folder}: try it with `python app.py` there, or upload it: hf upload NAME/SPACE {folder} --repo-type space"
    )


@cli.command()
@click.option("--work", type=NEW, default=Path("demo"), help="Where everything is written.")
@click.option("--port", default=3000)
@click.option("--serve/--no-serve", "then_serve", default=True, help="Serve at the end, or stop before.")
def demo(work: Path, port: int, then_serve: bool) -> None:
    """The whole road on made-up recordings: make them, train six models, serve them."""
    from jaxresp.synthetic import SyntheticConfig, write_corpus

    source = work / "made-up-icbhi"
    if not source.is_dir():
        click.echo("writing made-up recordings")
        write_corpus(source, SyntheticConfig())
    config = cli_train.config_of(trials=1, epochs=20, learning_rate=3e-3, common_band=False)
    cli_train.whole_run(source, work, config, partial=True, tracking_uri=None)
    os.environ.setdefault("BENTOML_HOME", str((work / "bentoml").resolve()))  # not into the user's own store
    for tag in _bento("store").store_classifiers(work):
        click.echo(f"exported {tag}")
    if then_serve:
        sys.exit(_bento("serve").serve(port, "127.0.0.1"))


def _bento(module: str) -> ModuleType:
    """A module of bento/, which lies beside datasets/ and is no part of the package."""
    from jaxresp.shipped import root

    folder = str(root())
    if folder not in sys.path:
        sys.path.append(folder)
    return import_module(f"bento.{module}")


if __name__ == "__main__":
    main()
