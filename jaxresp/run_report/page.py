"""The report of a run as one self-contained HTML page: nothing fetched, no script, no sound, no single recording."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import jaxresp
from jaxresp.evaluate import report
from jaxresp.evaluate.result import Result
from jaxresp.evaluate.words import number, with_interval, with_sign
from jaxresp.files import write_whole
from jaxresp.pages.album import Album
from jaxresp.pages.page import Page, Section, html_of
from jaxresp.prediction import NOTICE
from jaxresp.run_report import chapters, model
from jaxresp.run_report.finished import FinishedRun, load_finished


def write_html(work: Path, file: Path) -> None:
    """Write the report of the finished run in `work`.

    Raises:
        JaxrespError: there is no finished run, or some of its files are gone or damaged.
    """
    write_whole(file, html_report(load_finished(work)))


def html_report(run: FinishedRun) -> str:
    """The page."""
    results, album = run.results, Album(with_pngs=False)
    sections = (
        chapters.headline(results, album),
        chapters.cohort(results),
        chapters.shortcuts(results),
        chapters.compared(run),
        *(model.chapter(result, run.answers[result.name], album) for result in results),
        chapters.split(run),
        chapters.limits(results),
        chapters.provenance(run),
    )
    return html_of(_page(run, tuple(each for each in sections if each is not None)))


def _page(run: FinishedRun, sections: tuple[Section, ...]) -> Page:
    results, corpus = run.results, run.results[0].corpus
    badges = [word for word, true in (("made up", corpus["made_up"]), ("partial", corpus["partial"])) if true]
    return Page(
        kind="Report of a run",
        title=report.corpus_title(corpus),
        subtitle=f"{_counted(len(results), 'model')} on {report.setting(results)}.",
        badges=tuple(badges),
        notices=(NOTICE, *report.caveats(results)[: 1 if badges else 0]),
        numbers=tuple(_numbers(results)),
        brief=tuple(_brief(results)),
        sections=sections,
        colophon=(f"Made by jaxresp {jaxresp.__version__} from the corpus {corpus['fingerprint']}.", NOTICE),
    )


def _numbers(results: Sequence[Result]) -> list[tuple[str, str]]:
    """The large ones at the top."""
    units = {result.unit: result.metrics.n for result in results}
    return [
        (str(len(results)), "models"),
        (" / ".join(str(n) for n in dict.fromkeys(r.n_patients for r in results)), "patients tested"),
        *((str(n), f"{unit}s tested") for unit, n in units.items()),
    ]


def _brief(results: Sequence[Result]) -> list[str]:
    """For each task, the model that no tested patient had a say in choosing, and what it must beat."""
    said = []
    for task, of_task in chapters.by_task(results).items():
        chosen = min(of_task, key=lambda result: (result.validation_loss, result.name))
        balanced, roc, precision_recall = (
            with_interval(getattr(chosen.metrics, each), chosen.intervals[each])
            for each in ("balanced_accuracy", "macro_roc_auc", "macro_pr_auc")
        )
        known = sorted(chosen.shortcuts.items(), key=lambda item: -item[1].balanced_accuracy)
        beside = f"; “{known[0][0]}” alone reaches {number(known[0][1].balanced_accuracy)}" if known else ""
        said.append(
            f"{task}: {chosen.name}, of the lowest validation loss, reaches a balanced accuracy of {balanced}, a "
            f"ROC-AUC of {roc} and a PR-AUC of {precision_recall} on {chosen.n_patients} patients. Always answering "
            f"the majority reaches a balanced accuracy of {number(chosen.majority.balanced_accuracy)}{beside}."
        )
        if (narrow := chosen.common_band) is not None:
            held, less = narrow.metrics.balanced_accuracy, narrow.less["balanced_accuracy"]
            said.append(
                f"{task}: in the common band its balanced accuracy is "
                f"{with_interval(held, narrow.intervals['balanced_accuracy'])}, {with_sign(less)} against its own band."
            )
        beaten = [
            result.name
            for result in of_task
            if known and result.metrics.balanced_accuracy <= known[0][1].balanced_accuracy
        ]
        if beaten:
            said.append(f"{task}: not better than “{known[0][0]}” alone: {', '.join(beaten)}.")
    return said


def _counted(n: int, what: str) -> str:
    return f"One {what}" if n == 1 else f"{n} {what}s"
