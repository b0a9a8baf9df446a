"""The chapters of an exploration report: what is counted, how it is drawn, and the words that say what to see."""

from __future__ import annotations

from functools import partial

import numpy as np

from jaxresp.corpus import Corpus
from jaxresp.explore import figures, sound_figures
from jaxresp.explore import statistics as stats
from jaxresp.explore.figures import kind_colour
from jaxresp.explore.statistics import KINDS, NOT_GIVEN, Classes, Crossed
from jaxresp.explore.tables import crossed_table, sole_column, spread_table
from jaxresp.explore.without_listening import N_FOLDS, Clue, Question, asked_as, verdict
from jaxresp.pages.album import Album
from jaxresp.pages.page import Plate, Section, Table


def diagnoses(corpus: Corpus, classes: Classes, album: Album) -> Section:
    """How many patients and recordings each class has."""
    counts = stats.class_counts(corpus, classes)
    n_patients = len(set(corpus.patient.tolist()))
    table = Table(
        (classes.what, "patients", "recordings", "minutes", "per patient"),
        tuple(
            (c.name, str(c.patients), str(c.recordings), f"{c.seconds / 60:.1f}", f"{c.recordings / c.patients:.1f}")
            for c in counts
        ),
    )
    most = counts[0]
    most_of_patients = max(counts, key=lambda c: c.patients)
    plates = tuple(
        album.plate(f"classes-by-{of}", title, partial(figures.class_bars, counts, of, total), caption=caption)
        for of, total, title, caption in (
            (
                "patients",
                n_patients,
                f"Patients by {classes.what}",
                f"{most_of_patients.name} is the largest: {most_of_patients.patients} of {n_patients} patients. "
                "Folds are dealt by patient, so this is the number that limits what can be tested.",
            ),
            (
                "recordings",
                len(corpus),
                f"Recordings by {classes.what}",
                f"{most.name}: {most.recordings} of {len(corpus)} recordings. Where this bar chart leans more than the "
                "one by patient, some patients were recorded far more often than others.",
            ),
        )
    )
    return Section(
        "classes",
        "Diagnoses" if classes.what == "diagnosis" else "Sound labels",
        "The same corpus counted twice: by the people in it and by the recordings made of them.",
        plates,
        open_table=table,
    )


def people(corpus: Corpus, classes: Classes, album: Album) -> Section:
    """Age, sex and what is not known."""
    patients, remarks, plates = stats.patients_of(corpus, classes), [], []
    if np.isfinite(patients.age_years).any():
        rows = []
        for i, name in enumerate(classes.names):
            age = patients.age_years[(patients.class_index == i) & np.isfinite(patients.age_years)]
            spread = (np.min(age), np.median(age), np.max(age)) if age.size else (None, None, None)
            rows.append((name, str(age.size), *(f"{a:g}" if a is not None else "–" for a in spread)))
        known = int(np.isfinite(patients.age_years).sum())
        plates.append(
            album.plate(
                "ages",
                f"Age of the patients by {classes.what}",
                lambda: figures.ages(patients, classes),
                caption=f"One dot for each of the {known} patients whose age is known. Classes whose dots do not "
                f"overlap can be told apart by age alone.{_placed(classes)}",
                table=Table((classes.what, "ages known", "youngest", "median", "oldest"), tuple(rows)),
            )
        )
    else:
        remarks.append("No patient's age is known, so ages are not shown, and nothing here can be adjusted for age.")
    if np.any(patients.sex != ""):
        rows = [
            (name, *(str(int(np.sum((patients.class_index == i) & (patients.sex == s)))) for s in ("F", "M", "")))
            for i, name in enumerate(classes.names)
        ]
        plates.append(
            album.plate(
                "sexes",
                f"Sex of the patients by {classes.what}",
                lambda: figures.sexes(patients, classes),
                caption=f"{int(np.sum(patients.sex == 'F'))} female and {int(np.sum(patients.sex == 'M'))} male "
                f"patients; of the small classes the shares mean little.{_placed(classes)}",
                table=Table((classes.what, "female", "male", NOT_GIVEN), tuple(rows)),
            )
        )
    else:
        remarks.append("No patient's sex is known.")
    if patients.recordings.max() > 1:
        plates.append(
            album.plate(
                "recordings-per-patient",
                f"Recordings per patient by {classes.what}",
                lambda: figures.recordings_per_patient(patients, classes),
                caption=f"From {patients.recordings.min()} to {patients.recordings.max()}, half of the patients have "
                f"at most {np.median(patients.recordings):g}. Whoever was recorded "
                "often counts often, unless patients are weighed.",
            )
        )
    else:
        remarks.append("Every patient has one recording.")
    variables = stats.missing_variables(corpus)
    never = [each.variable for each in variables if each.missing == each.total]
    gaps = [each for each in variables if 0 < each.missing < each.total]
    if gaps:
        plates.append(
            album.plate(
                "missing",
                "What is not known",
                lambda: figures.missing_bars(gaps),
                caption="Of patients or of recordings, as the bar says. Missing stays missing: nothing was filled in."
                + (
                    " ICBHI gives the body mass index of adults only, weight and height of children only."
                    if "icbhi" in corpus.corpus
                    else ""
                ),
                table=Table(
                    ("variable", "of", "not known", "all", "share"),
                    tuple((v.variable, v.unit, str(v.missing), str(v.total), f"{100 * v.share:.1f} %") for v in gaps),
                ),
            )
        )
    if never:
        remarks.append(f"Known of none in this corpus: {', '.join(never)}.")
    lead = "Who was recorded, and what is known of them before anyone listens."
    return Section("patients", "Patients", lead, tuple(plates), tuple(remarks))


def recordings(corpus: Corpus, classes: Classes, levels: stats.Levels, album: Album) -> Section:
    """Lengths, rates, bandwidth, levels."""
    seconds = corpus.durations_s
    by_rate = stats.crossed(classes, corpus.native_rate_hz)
    clipped = int(levels.clipped.sum())
    quartiles = np.percentile(seconds, [0, 25, 50, 75, 100])
    plates = [
        album.plate(
            "durations",
            "Length of the recordings",
            lambda: figures.duration_histogram(seconds),
            caption=f"From {quartiles[0]:.1f} to {quartiles[4]:.1f} s; half of them last {quartiles[1]:.1f} to "
            f"{quartiles[3]:.1f} s (median {quartiles[2]:.1f}).",
        )
    ]
    if by_rate is not None:
        plates.append(
            album.plate(
                "rates",
                "Native sampling rate",
                lambda: figures.rates(by_rate),
                caption="As published, before resampling. A rate that only some classes were recorded at betrays them: "
                "a spectrogram up to half of the highest rate would show an empty band.",
                table=crossed_table(classes.what, by_rate, lambda rate: f"{int(rate):,} Hz".replace(",", " ")),
            )
        )
    if np.any(np.isfinite(corpus.bandwidth_hz) & (corpus.bandwidth_hz > 0)):
        plates.append(
            album.plate(
                "bandwidths",
                f"Bandwidth by {classes.what}",
                lambda: figures.bandwidths(corpus.bandwidth_hz, classes),
                caption="The highest frequency with sound in each published file. Lung sounds carry little above "
                "2 kHz; what reaches higher is mostly the stethoscope, the room and the file.",
                table=spread_table(classes, corpus.bandwidth_hz, "Hz", 0),
            )
        )
    plates.append(
        album.plate(
            "levels",
            f"Level by {classes.what}",
            lambda: figures.loudness(levels, classes),
            caption=f"{_clipping(clipped, len(corpus))} Levels are those of the files: gains differ between "
            "stethoscopes, so a level says nothing about a lung.",
            table=spread_table(classes, levels.rms_dbfs, "dB", 1),
        )
    )
    lead = "What the files are like: how long, how wide, how loud. None of this should tell a diagnosis."
    return Section("recordings", "Recordings", lead, tuple(plates))


def equipment(corpus: Corpus, classes: Classes, album: Album) -> Section | None:
    """Class by stethoscope, chest location, mode; None where the corpus tells none of them."""
    disputed = np.where(corpus.stethoscope_disputed != "", corpus.stethoscope_disputed, corpus.stethoscope)
    differing = int(np.sum(disputed != corpus.stethoscope))
    columns = [
        ("stethoscopes", "Stethoscope", corpus.stethoscope, ""),
        (
            "stethoscopes-disputed",
            "Stethoscope, by the publisher's other tags",
            disputed if differing else np.full(len(corpus), ""),
            f" Of {differing} recordings the publisher names another stethoscope elsewhere; these are those tags.",
        ),
        ("locations", "Chest location", corpus.location, _location_key(corpus)),
        ("modes", "Acquisition mode", corpus.mode, " sc: one channel after another; mc: several at once."),
        ("splits", "Published split", corpus.official_split, " A class that is missing from a side is never tested."),
        ("corpora", "Dataset", corpus.corpus if len(set(corpus.corpus.tolist())) > 1 else np.full(len(corpus), ""), ""),
    ]
    plates, remarks = [], []
    for name, title, column, more in columns:
        table = stats.crossed(classes, column)
        if table is None:
            continue
        if len(table.columns) == 1:
            remarks.append(f"{title}: {table.columns[0]} for all recordings.")
            continue
        plates.append(
            album.plate(
                name,
                f"{title} by {classes.what}",
                partial(figures.heat_map, table),
                caption="Numbers are recordings; the stronger the colour, the larger their share of the row."
                f"{more}{sole_column(table)}",
                table=crossed_table(classes.what, table, str),
            )
        )
    if not plates and not remarks:
        return None
    lead = "Where the microphone lay and what it was. Rows that are shaded differently can be told apart by equipment."
    return Section("equipment", "Places and equipment", lead, tuple(plates), tuple(remarks))


def annotated(corpus: Corpus, classes: Classes, album: Album) -> Section | None:
    """What is annotated; None where nothing is."""
    if not len(corpus.annotations):
        return None
    labels, by_class = stats.annotation_labels(corpus), stats.annotations_by_class(corpus, classes)
    lengths = corpus.annotations.end_s - corpus.annotations.start_s
    total = len(corpus.annotations)
    crackles, wheezes = int(corpus.annotations.crackle.sum()), int(corpus.annotations.wheeze.sum())
    plates = [
        album.plate(
            "annotation-labels",
            "Intervals by label",
            lambda: figures.annotation_bars(labels),
            caption=f"{total} annotated intervals; crackles are heard in {crackles}, wheezes in {wheezes}.",
            table=Table(("label", "heard", "intervals"), tuple((n, KINDS[k], str(count)) for n, k, count in labels)),
        ),
        album.plate(
            "annotations-by-class",
            f"What is heard, by {classes.what}",
            lambda: figures.annotation_shares(by_class),
            caption="Rows that look alike cannot be told apart by how often crackles and wheezes were heard.",
            table=crossed_table(classes.what, by_class, str),
        ),
        album.plate(
            "interval-lengths",
            "Length of the intervals",
            lambda: figures.interval_lengths(lengths, stats.kinds(corpus.annotations)),
            caption=f"Median {np.median(lengths):.2f} s; the shortest lasts {lengths.min():.2f} s, the longest "
            f"{lengths.max():.2f} s (the last bar holds all that are longer than the axis).",
        ),
    ]
    by_location = stats.annotations_by(corpus, corpus.location)
    if by_location is not None:
        plates.append(
            album.plate(
                "annotations-by-location",
                "What is heard, by chest location",
                lambda: figures.annotation_shares(by_location),
                caption=f"Where on the chest crackles and wheezes were marked.{_location_key(corpus)}",
                table=crossed_table("chest location", by_location, str),
            )
        )
    lead = "What listeners marked: cycles or events with a beginning and an end, and what is heard in them."
    return Section("annotations", "Annotations", lead, tuple(plates))


def sounds(corpus: Corpus, classes: Classes, album: Album, *, per_class: int, with_sound: bool, seed: int) -> Section:
    """Recordings to look at, and to listen to where asked for."""
    plates = []
    for k, row in enumerate(stats.sample_recordings(corpus, classes, per_class=per_class, seed=seed)):
        name = classes.names[classes.of_recording[row]]
        whole = float(corpus.offsets[row + 1] - corpus.offsets[row]) / corpus.rate_hz
        shown = sound_figures.shown_s(corpus, row)
        facts = [f"The first {shown:g} s of {whole:.1f} s" if shown < whole else f"All {whole:.1f} s"]
        if corpus.location[row]:
            facts.append(f"chest location {corpus.location[row]}")
        if corpus.stethoscope[row]:
            facts.append(str(corpus.stethoscope[row]))
        facts.append(f"native {corpus.native_rate_hz[row] / 1000:g} kHz")
        if len(corpus.annotations):
            facts.append(f"{len(corpus.annotations_of(row))} annotated intervals")
        plates.append(
            album.plate(
                f"sound-{k + 1:02}",
                f"{name} – {corpus.recording[row]}",
                partial(sound_figures.sound_figure, corpus, row),
                caption=f"{', '.join(facts)}.",
                alt=f"Annotated intervals, waveform and log-mel spectrogram of {corpus.recording[row]} ({name}); "
                f"{', '.join(facts)}.",
                wide=True,
                sound=sound_figures.clip_wav(corpus, row) if with_sound else None,
            )
        )
    marks = "Above: what was annotated (C crackle, W wheeze, – neither). " if len(corpus.annotations) else ""
    lead = (
        f"Recordings drawn at random from each class. {marks}Middle: the waveform, as tall as it can be. "
        "Below: power in mel bands, lifted by 6 dB per octave so that faint high sounds show; brighter is louder, over "
        "65 dB. Crackles are upright strokes, wheezes level lines."
    )
    legend = _kind_legend(stats.annotations_by_class(corpus, classes)) if len(corpus.annotations) else ()
    return Section("sounds", "Sounds", lead, tuple(plates), legend=legend)


def without_listening(asked: tuple[Question, ...], album: Album) -> Section:
    """What the metadata gives away."""
    plates: list[Plate] = []
    remarks = []
    for question in asked:
        name = asked_as(question)
        if question.why_not:
            remarks.append(f"{name}: what the metadata gives away cannot be measured here: {question.why_not}.")
            continue
        if not question.clues:
            remarks.append(
                f"{name}: no column of the metadata differs between recordings, so none gives anything away."
            )
            continue
        left_out = f" {question.left_out} recordings of other classes are left out." if question.left_out else ""
        plates.append(
            album.plate(
                f"without-listening-{len(plates) + 1}",
                f"{name}, without listening",
                partial(figures.clues, question),
                caption=f"{verdict(question)} {question.n_recordings} recordings of {question.n_patients} patients, "
                f"each answered from the {N_FOLDS - 1} of {N_FOLDS} folds that do not hold its patient; bars are 95 % "
                f"intervals over patients; the dashed line is a guess.{left_out}",
                table=Table(
                    ("known alone", "balanced accuracy", "95 %", "AUROC", "95 %"),
                    tuple(map(_clue_row, question.clues)),
                ),
            )
        )
    lead = (
        "How far one column of the metadata gets by itself, with no sound at all. A network that does not beat these "
        "may have learned the ward, the stethoscope or the patient's age rather than the lungs."
    )
    return Section("without-listening", "Without listening", lead, tuple(plates), tuple(remarks))


def _clue_row(clue: Clue) -> tuple[str, ...]:
    balanced, area = clue.balanced_accuracy_interval, clue.macro_roc_auc_interval
    return (
        clue.name,
        f"{clue.balanced_accuracy:.3f}",
        f"{balanced.low:.3f}–{balanced.high:.3f}",
        f"{clue.macro_roc_auc:.3f}",
        f"{area.low:.3f}–{area.high:.3f}",
    )


def _location_key(corpus: Corpus) -> str:
    if set(corpus.location.tolist()) <= {"", "Tc", "Al", "Ar", "Pl", "Pr", "Ll", "Lr"}:
        return " Tc trachea; A anterior, P posterior, L lateral; l left, r right."
    return ""


def _placed(classes: Classes) -> str:
    """Where a patient's recordings may differ in class."""
    return "" if classes.what == "diagnosis" else " A patient stands in the class of most of their recordings."


def findings(corpus: Corpus) -> Section | None:
    """What the builder of the dataset found and could not mend; None where it found nothing."""
    if not corpus.findings:
        return None
    lead = "What the builder of the dataset found in the published files and could not mend."
    return Section("findings", "Findings", lead, remarks=corpus.findings)


def _clipping(clipped: int, n: int) -> str:
    if not clipped:
        return "None of the recordings seems clipped."
    return (
        f"{clipped} of {n} recordings seem clipped (ringed): more than three samples in ten thousand lie within 1 % of "
        "full scale."
    )


def _kind_legend(by_class: Crossed) -> tuple[tuple[str, str], ...]:
    said = {"neither": "neither", "crackle": "crackle", "wheeze": "wheeze", "both": "crackle and wheeze"}
    return tuple((said[kind], kind_colour(k)) for k, kind in enumerate(KINDS) if by_class.counts[:, k].any())
