"""The chapters across models: what was reached, by whom it must be beaten, and what the numbers rest on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from jaxresp.bands import BANDS
from jaxresp.evaluate import report, tables
from jaxresp.evaluate.result import Result
from jaxresp.evaluate.words import number, with_sign
from jaxresp.pages.album import Album
from jaxresp.pages.page import Section, Table
from jaxresp.prediction import NOTICE
from jaxresp.run_report import figures
from jaxresp.run_report.finished import FinishedRun


def by_task(results: Sequence[Result]) -> dict[str, list[Result]]:
    """Task → its models, in the table's order."""
    names = dict.fromkeys(result.task for result in results)
    return {task: [result for result in results if result.task == task] for task in names}


def headline(results: Sequence[Result], album: Album) -> Section:
    """Every model, its intervals, and chance and metadata beside it."""
    plates = tuple(
        album.plate(
            f"headline-{task}",
            f"{task}: {' / '.join(of_task[0].classes)}",
            partial(figures.headline, of_task),
            caption=f"{of_task[0].metrics.n} {of_task[0].unit}s of {of_task[0].n_patients} patients. Bars are 95 % "
            "intervals over patients, the dashed line is a guess; a model left of the orange mark is beaten by one "
            "column of the metadata.",
        )
        for task, of_task in by_task(results).items()
    )
    lead = (
        f"On {report.setting(results)}; every interval is a bootstrap over patients, who may have several "
        f"{results[0].unit}s. The majority is what training saw most."
    )
    return Section(
        "models",
        "Models",
        lead,
        plates,
        tuple(_bands(results)),
        open_table=Table(tables.COLUMNS, tuple(tables.rows(results))),
    )


def _bands(results: Sequence[Result]) -> list[str]:
    """What of the sound was heard, and what the rows of the common band are."""
    said = [f"{report.band_line(results)}."]
    if any(result.common_band is not None for result in results):
        low_hz, high_hz = BANDS["common"]
        said.append(
            f"The common band, {low_hz:g}–{high_hz:g} Hz, is what every stethoscope records: the same networks, fitted "
            "anew on that alone, answer for the same patients. What only the wider band reaches may be owed to the "
            "stethoscope. Every model's chapter has the difference."
        )
    return said


def cohort(results: Sequence[Result]) -> Section:
    """Whom the numbers are of."""
    rows = tuple(
        (f"{task}: {name}", str(of_task[0].patients[name]), str(of_task[0].recordings[name]))
        for task, of_task in by_task(results).items()
        for name in of_task[0].classes
    )
    units = " or ".join(f"{unit}s" for unit in dict.fromkeys(result.unit for result in results))
    lead = "Who was tested. A patient with several classes counts in each; intervals are over patients."
    return Section("tested", "Tested patients", lead, open_table=Table(("class", "patients", units), rows))


def shortcuts(results: Sequence[Result]) -> Section:
    """What the metadata reaches by itself, and by how much each model exceeds the best of it."""
    found = []
    for task, of_task in by_task(results).items():
        known = sorted(of_task[0].shortcuts.items(), key=lambda item: -item[1].balanced_accuracy)
        rows = tuple((name, number(each.balanced_accuracy), number(each.macro_roc_auc)) for name, each in known)
        found.append((f"{task}, without listening", Table(("known alone", "balanced accuracy", "ROC-AUC"), rows)))
        best = known[0][0] if known else ""
        beyond = tuple(
            (r.name, *(with_sign(r.beyond[best][each]) for each in r.beyond[best])) for r in of_task if best in r.beyond
        )
        if beyond:
            head = ("model", *tables.HEADLINES_IN_WORDS)
            found.append((f"{task}: each model less “{best}” alone, on the same patients", Table(head, beyond)))
    lead = (
        "How far one column of the metadata gets on the same patients with no sound at all. A model that does not beat "
        "these may have learned the ward, the stethoscope or the patient's age rather than the lungs."
    )
    return Section("without-listening", "Without listening", lead, tables=tuple(found))


def compared(run: FinishedRun) -> Section | None:
    """Models in pairs; None where no task has two."""
    if not run.comparisons:
        return None
    found = tuple((f"{each.what}: less {each.reference}", tables.by_model(each)) for each in run.comparisons)
    lead = "The same patients drawn for both: what remains is the difference between two models, not between patients."
    remarks = tuple(f"{each.what}: {report.comparison_line(each)}" for each in run.comparisons)
    return Section("compared", "Models compared", lead, remarks=remarks, tables=found)


def split(run: FinishedRun) -> Section:
    """What the split proves, and how many stand on each side."""
    found, remarks = [], []
    for task, of_task in by_task(run.results).items():
        first = of_task[0]
        proof = run.proofs[first.name]
        head = tuple(proof[0])
        body = tuple((f"fold {int(row['fold']) + 1}", *(str(row[key]) for key in head[1:])) for row in proof)
        found.append((f"{task}: who is on which side of split {first.split['name']}", Table(head, body)))
        said = [first.split["evidence"], *first.split["sentences"]]
        said += [
            f"Left out: {each['recordings']} {first.unit}s of {each['patients']} patients ({each['reason']})."
            for each in first.split["left_out"]
        ]
        if first.split["overlap"]:
            said.append(f"Patients on both sides: {', '.join(first.split['overlap'])}.")
        remarks += [f"{task}: {sentence}" for sentence in said]
    lead = (
        "No patient may train a model and test it. The sides are counted from the rows themselves, before anything was "
        "trained; “shared patients” are those who also train."
    )
    return Section("split", "What the split proves", lead, remarks=tuple(dict.fromkeys(remarks)), tables=tuple(found))


def limits(results: Sequence[Result]) -> Section:
    """What must be read with the numbers."""
    lead = f"What must be read with the numbers. {NOTICE}"
    return Section("limits", "Limits", lead, remarks=tuple(report.caveats(results)))


def provenance(run: FinishedRun) -> Section:
    """From which code, corpus, configuration and split each Classifier comes."""
    settings = tuple(
        (result.name, ", ".join(f"{key} {value}" for key, value in result.settings.items())) for result in run.results
    )
    rows = tuple(
        (name, *(_short(told.get(key)) for key in ("code", "configuration_sha256", "split_sha256", "mlflow_study")))
        for name, told in run.provenance.items()
    )
    corpus = run.results[0].corpus
    lead = (
        f"{report.corpus_title(corpus)}, fingerprint {corpus['fingerprint'][:16]}. The whole hashes stand in each "
        "Classifier's provenance.json."
    )
    head = ("model", "code", "configuration", "split", "MLflow study")
    return Section(
        "provenance",
        "Provenance",
        lead,
        open_table=Table(head, rows),
        tables=(("Settings chosen on validation patients", Table(("model", "settings"), settings)),),
    )


def _short(value: object) -> str:
    """The first signs of a hash; "sha256:" and a mark for changed code stay."""
    kind, _, digits = str(value or "unknown").rpartition(":")
    commit, _, changed = digits.partition("-")
    return f"{kind + ':' if kind else ''}{commit[:12]}{'-' + changed if changed else ''}"
