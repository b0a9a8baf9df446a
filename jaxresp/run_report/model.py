"""The chapter of one model: what it answers, for whom, and whether its probabilities mean what they say."""

from __future__ import annotations

from functools import partial

from jaxresp.evaluate import report, tables
from jaxresp.evaluate.answers import Answers
from jaxresp.evaluate.result import Result
from jaxresp.evaluate.words import number, with_interval
from jaxresp.pages.album import Album
from jaxresp.pages.page import Plate, Section, Table
from jaxresp.run_report import figures


def chapter(result: Result, answers: Answers, album: Album) -> Section:
    """Everything about one model."""
    balanced = with_interval(result.metrics.balanced_accuracy, result.intervals["balanced_accuracy"])
    return Section(
        result.name,
        result.name,
        f"{' / '.join(result.classes)} for one {result.unit}, from {result.features} features. Balanced accuracy "
        f"{balanced} on {result.metrics.n} {result.unit}s of {result.n_patients} patients; the majority alone reaches "
        f"{number(result.majority.balanced_accuracy)} (accuracy {number(result.majority.accuracy)}).",
        tuple(_plates(result, answers, album)),
        tuple(_remarks(result)),
        open_table=tables.by_class(result.classes, result.metrics),
        tables=tuple(_tables(result)),
    )


def _plates(result: Result, answers: Answers, album: Album) -> list[Plate]:
    name = result.name
    absent = [of for of, n in zip(result.classes, result.metrics.support, strict=True) if n == 0]
    without = f" No {result.unit} of {' or '.join(absent)} was tested: no curve." if absent else ""
    plates = [
        album.plate(
            f"{name}-confusion",
            f"{name}: what was answered",
            partial(figures.confusion, result),
            caption=f"Numbers are {result.unit}s; true classes down, answers across; the stronger the colour, the "
            "larger their share of the row.",
        ),
        album.plate(
            f"{name}-curves",
            f"{name}: every threshold",
            partial(figures.operating_curves, answers),
            caption="Each class against the rest. Left: a guess lies on the diagonal. Right: a guess lies as high as "
            f"the class is frequent.{without}",
        ),
    ]
    if set(result.reliability) == {"uncalibrated", "calibrated"}:
        after, before = result.reliability["calibrated"], result.reliability["uncalibrated"]
        plates.append(
            album.plate(
                f"{name}-reliability",
                f"{name}: do probabilities mean what they say?",
                partial(figures.reliability, result),
                caption="On the diagonal they do; a dot's size is its share of the patients, who all weigh the same. "
                f"Calibration error {before.ece:.3f} before, {after.ece:.3f} after, by calibrations that did not see "
                "the patients.",
                table=tables.by_calibration(result),
            )
        )
    if result.selective is not None:
        told = result.selective
        plates.append(
            album.plate(
                f"{name}-risk",
                f"{name}: what not answering gains",
                partial(figures.risk_coverage, told.curve),
                caption=f"Answering all errs in {told.error:.0%}; a curve that falls to the left knows when it does "
                "not know.",
                table=Table(
                    ("share answered", "error among them"),
                    tuple((f"{covered:.2f}", f"{error:.3f}") for covered, error in told.curve),
                ),
            )
        )
    return plates


def _tables(result: Result) -> list[tuple[str, Table]]:
    found = []
    if result.common_band is not None:
        found.append((f"{result.name} in the common band", tables.by_band(result, result.common_band)))
    if result.levels:
        found.append((f"{result.name} by level", tables.by_level(result)))
    if result.sides:
        found.append((f"{result.name} by test side", tables.by_side(result)))
    if result.selective is not None and result.selective.set_promised:
        found.append((f"{result.name}: sets of classes not ruled out", tables.by_set(result.classes, result.selective)))
    if result.subgroups:
        found.append((f"{result.name} by group", tables.by_subgroup(result)))
    return found


def _remarks(result: Result) -> list[str]:
    said = [report.averages_line(result.metrics)]
    if result.scores:
        said.append(report.challenge_line(result))
    if result.sides and report.side_line(result):
        said.append(report.side_line(result))
    if result.alarm:
        said.append(report.alarm_line(result))
    if result.common_band is not None:
        said.append(report.common_band_line(result.common_band))
    said += report.probe_lines(result)
    said += report.calibration_lines(result)
    if result.gate:
        said.append(report.gate_line(result.gate, result.unit))
    if result.subgroups:
        said.append(report.SUPPRESSION)
    return said
