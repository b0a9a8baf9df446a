"""`jaxresp explore`: a Corpus → one self-contained HTML page and its figures as PNGs, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import jaxresp
from jaxresp.corpus import Corpus
from jaxresp.errors import JaxrespError
from jaxresp.explore import sections
from jaxresp.explore import statistics as stats
from jaxresp.explore.statistics import Classes
from jaxresp.explore.without_listening import Question, asked_as, questions, verdict
from jaxresp.files import whole_directory
from jaxresp.pages.album import Album
from jaxresp.pages.page import Page, Section, fragment_of, html_of

PAGE, FIGURES, NOTE = "index.html", "figures", "report.json"
_WRITTEN_BY = "jaxresp explore"
_PUBLISHED_AS = {"icbhi": "ICBHI 2017", "sprsound": "SPRSound", "kauh": "KAUH"}
_FEW_PATIENTS = 3  # with fewer, no split by patient has the class on all three sides
_SAMPLES = 12  # at most about this many recordings are drawn where a class may have two


class ExploreError(JaxrespError):
    """A report that cannot be written."""


@dataclass(frozen=True)
class ExploreConfig:
    """What a report holds.

    Attributes:
        with_sound: put short clips of the recordings shown into the page. Off: a page with patients' sound must not be
            passed on as one without may be.
        seed: of the recordings shown, of the folds and of the intervals.
    """

    with_sound: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Report:
    """A report before it is written.

    Attributes:
        html: the page.
        pngs: name → every figure on white.
    """

    html: str
    pngs: Mapping[str, bytes]


def explore(corpus: Corpus, config: ExploreConfig | None = None) -> Report:
    """Everything there is to see of a corpus before a model is trained on it.

    Columns that a corpus leaves empty are left out, and the page says so.
    """
    config = config or ExploreConfig()
    classes, album = stats.classes_of(corpus), Album()
    asked = questions(corpus, classes, seed=config.seed)
    per_class = 2 if 2 * len(classes.names) <= _SAMPLES else 1
    shown = sections.sounds(corpus, classes, album, per_class=per_class, with_sound=config.with_sound, seed=config.seed)
    chapters = (*_counted(corpus, classes, asked, album), shown, sections.findings(corpus))
    return Report(html_of(_page(corpus, classes, asked, chapters, config)), dict(album.pngs))


def overview(corpus: Corpus, seed: int = 0) -> str:
    """What is counted of a corpus, as an HTML element to stand inside another page, beside the models of a service.

    Unlike the report it holds no single recording: none is drawn, named or heard.
    """
    classes, config = stats.classes_of(corpus), ExploreConfig(seed=seed)
    asked = questions(corpus, classes, seed=seed)
    chapters = _counted(corpus, classes, asked, Album(with_pngs=False))
    return fragment_of(_page(corpus, classes, asked, chapters, config))


def _counted(corpus: Corpus, classes: Classes, asked: tuple[Question, ...], album: Album) -> tuple[Section | None, ...]:
    """The chapters in which recordings are counted and not shown."""
    return (
        sections.diagnoses(corpus, classes, album),
        sections.people(corpus, classes, album),
        sections.without_listening(asked, album),
        sections.equipment(corpus, classes, album),
        sections.recordings(corpus, classes, stats.levels(corpus), album),
        sections.annotated(corpus, classes, album),
    )


def _page(
    corpus: Corpus,
    classes: Classes,
    asked: tuple[Question, ...],
    chapters: tuple[Section | None, ...],
    config: ExploreConfig,
) -> Page:
    sections_there = tuple(chapter for chapter in chapters if chapter is not None)
    return Page(
        kind="Corpus report",
        title=" + ".join(_PUBLISHED_AS.get(name, name) for name in corpus.name.split("+")),
        subtitle=f"Version {corpus.version}, at {corpus.rate_hz / 1000:g} kHz. "
        "Counted and drawn from the prepared dataset.",
        badges=tuple(word for word, true in (("partial", corpus.partial), ("made up", corpus.made_up)) if true),
        notices=_notices(corpus, config),
        numbers=_numbers(corpus, classes),
        brief=tuple(_brief(corpus, classes, asked, has_findings=any(s.name == "findings" for s in sections_there))),
        sections=sections_there,
        colophon=(
            f"Made by jaxresp {jaxresp.__version__} (jaxresp explore, seed {config.seed}) from the dataset with the "
            f"fingerprint {corpus.fingerprint}.",
            "A research tool, not a medical device. The corpus has terms of its own.",
        ),
    )


def write_report(corpus: Corpus, folder: Path, config: ExploreConfig | None = None) -> Path:
    """Write the report of a corpus into a folder.

    The folder is written beside its place and renamed into it. A report written earlier is replaced; a folder with
    anything else in it is left alone.

    Returns:
        the page.

    Raises:
        ExploreError: the folder has something in it that is no report, or cannot be written.
    """
    folder = Path(folder)
    _refuse_foreign(folder)
    report = explore(corpus, config)
    files = {PAGE: report.html.encode(), **{f"{FIGURES}/{name}.png": png for name, png in report.pngs.items()}}
    note = {"written_by": _WRITTEN_BY, "corpus": corpus.name, "fingerprint": corpus.fingerprint, "files": sorted(files)}
    try:
        with whole_directory(folder) as part:
            (part / FIGURES).mkdir()
            for name, data in files.items():
                (part / name).write_bytes(data)
            (part / NOTE).write_text(json.dumps(note, indent=1) + "\n")
            _refuse_foreign(folder)  # put there while the figures were drawn
    except OSError as error:
        raise ExploreError(
            f"{folder} cannot be written ({error.strerror or error}); free some space, or name another with --out"
        ) from error
    return folder / PAGE


def _refuse_foreign(folder: Path) -> None:
    """A folder is replaced only if everything in it was written here."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ExploreError(f"{folder} is a file; name a folder with --out")
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    foreign = sorted(there - _written_before(folder))
    if foreign:
        raise ExploreError(
            f"{folder} holds what `{_WRITTEN_BY}` did not write ({', '.join(foreign[:3])}); name another folder with "
            "--out, or empty it"
        )


def _written_before(folder: Path) -> set[str]:
    """The files of an earlier report, by its note; none where the note is missing or not ours."""
    try:
        note = json.loads((folder / NOTE).read_text())
        return {NOTE, *map(str, note["files"])} if note["written_by"] == _WRITTEN_BY else set()
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _notices(corpus: Corpus, config: ExploreConfig) -> tuple[str, ...]:
    notices = []
    if corpus.made_up:
        notices.append(
            "Made up: jaxresp wrote these recordings. No patient was recorded; nothing here is about patients."
        )
    if corpus.partial:
        notices.append("Partial: this is less than was published. Its numbers are not those of the whole corpus.")
    if config.with_sound and not corpus.made_up:
        notices.append("This page contains sound recorded from patients: do not pass it on.")
    return tuple(notices)


def _numbers(corpus: Corpus, classes: Classes) -> tuple[tuple[str, str], ...]:
    hours = float(corpus.durations_s.sum(dtype=np.float64)) / 3600
    numbers = [
        (_thousands(len(set(corpus.patient.tolist()))), "patients"),
        (_thousands(len(corpus)), "recordings"),
        (f"{hours:.1f}" if hours >= 1 else f"{60 * hours:.1f}", "hours" if hours >= 1 else "minutes"),
    ]
    if len(corpus.annotations):
        numbers.append((_thousands(len(corpus.annotations)), "annotated intervals"))
    numbers.append((str(len(classes.known)), "diagnoses" if classes.what == "diagnosis" else "sound labels"))
    return tuple(numbers)


def _brief(corpus: Corpus, classes: Classes, asked: tuple[Question, ...], *, has_findings: bool) -> list[str]:
    """The sentences to read when nothing else is."""
    counts = [count for count in stats.class_counts(corpus, classes) if count.name in classes.known]
    said = []
    if len(counts) > 1:
        most, all_known = max(counts, key=lambda c: c.recordings), sum(c.recordings for c in counts)
        said.append(
            f"Always answering {most.name} would be right for {most.recordings} of {all_known} recordings "
            f"({100 * most.recordings / all_known:.0f} %): read accuracies beside that, or use balanced ones."
        )
    elif counts:
        said.append(f"There is one class only, {counts[0].name}: nothing can be told apart on this corpus by itself.")
    rare = [f"{count.name} ({count.patients})" for count in counts if count.patients < _FEW_PATIENTS]
    if rare:
        said.append(
            f"Fewer than {_FEW_PATIENTS} patients: {', '.join(rare)}. No split by patient can train, validate and test "
            "these classes on their own."
        )
    patients = stats.patients_of(corpus, classes)
    medians = {}
    for i, name in enumerate(classes.known):
        age = patients.age_years[(patients.class_index == i) & np.isfinite(patients.age_years)]
        if age.size >= _FEW_PATIENTS:
            medians[name] = float(np.median(age))
    if len(set(medians.values())) > 1:
        young, old = min(medians, key=medians.__getitem__), max(medians, key=medians.__getitem__)
        said.append(
            f"The median age goes from {medians[young]:.3g} years ({young}) to {medians[old]:.3g} ({old}), of classes "
            f"with at least {_FEW_PATIENTS} patients of known age."
        )
    said += [f"{asked_as(question)}? {verdict(question)}" for question in asked if question.clues]
    rates = sorted(set(corpus.native_rate_hz.tolist()))
    if len(rates) > 1:
        said.append(
            f"Native rates go from {rates[0] / 1000:g} to {rates[-1] / 1000:g} kHz: only sound below "
            f"{rates[0] / 2:g} Hz is in every recording."
        )
    if has_findings:
        number = f"{len(corpus.findings)} findings are" if len(corpus.findings) > 1 else "One finding is"
        said.append(f"{number} listed below: what the builder of the dataset could not mend.")
    return said


def _thousands(n: int) -> str:
    return f"{n:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
