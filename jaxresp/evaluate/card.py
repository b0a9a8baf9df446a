"""The model card in a Classifier's directory (Mitchell et al., "Model Cards for Model Reporting", FAT* 2019)."""

from __future__ import annotations

from jaxresp.evaluate import report
from jaxresp.evaluate.result import Result
from jaxresp.evaluate.tables import COLUMNS, by_subgroup, markdown_table, rows
from jaxresp.prediction import NOTICE


def card(result: Result) -> str:
    """The whole card, in Markdown."""
    chapters = {
        "Intended use": intended_use(result),
        "Cohort": [
            report.corpus_title(result.corpus),
            "",
            *(f"* {line}" for line in (*report.cohort_lines([result]), report.band_line([result]))),
        ],
        "Split": _split(result),
        f"Performance on {report.setting([result])}": [
            *markdown_table(COLUMNS, rows([result])),
            "",
            *report.performance(result),
        ],
        "Without listening": [f"* {line}" for line in (*report.shortcut_lines([result]), *report.probe_lines(result))],
        "Calibration and answers withheld": report.reliance(result),
        "By group": [*report.table_lines(by_subgroup(result)), "", report.SUPPRESSION] if result.subgroups else [],
        "Limits": [f"* {line}" for line in report.caveats([result])],
        "Provenance": _provenance(result),
    }
    out = [f"# {result.name}", ""]
    for title, lines in chapters.items():
        if lines:
            out += [f"## {title}", "", *lines, ""]
    return "\n".join(out)


def intended_use(result: Result) -> list[str]:
    """For what, and for what not."""
    return [
        f"Answers {' / '.join(result.classes)} for one {result.unit}, from {result.features} features.",
        "",
        f"For research on respiratory sound, and for teaching. {NOTICE}",
        "",
        f"Not for: other questions than this one, patients or stethoscopes unlike those below, {result.unit}s of other "
        "sounds than breathing, or choosing whom to examine.",
    ]


def _split(result: Result) -> list[str]:
    split = result.split
    disjoint = (
        "No patient trained the network that answered for them."
        if split["kind"] == "patient_disjoint"
        else "This published split is not disjoint by patient."
    )
    return [
        f"* {split['name']}: {disjoint}",
        f"* {split['evidence']}",
        *(f"* {sentence}" for sentence in split["sentences"]),
    ]


def _provenance(result: Result) -> list[str]:
    settings = ", ".join(f"{key} {value}" for key, value in result.settings.items())
    return [
        f"* Corpus: {report.corpus_title(result.corpus)}, fingerprint {result.corpus['fingerprint']}",
        f"* Network and training: {settings}",
        "* Code, configuration, split and files, by their hashes: provenance.json beside this card",
    ]
