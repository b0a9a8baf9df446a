"""What a user of the data should know and nobody can mend: kept with the prepared dataset, printed by every report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from jaxresp.corpus.source import SourceRecording


def same_sounds(
    recordings: Sequence[SourceRecording], sound_sha256: Sequence[bytes]
) -> list[tuple[SourceRecording, ...]]:
    """The recordings of every sound that is there more than once, in the order given.

    Args:
        recordings: of one dataset.
        sound_sha256: a hash of the samples of each, as they are stored: equal for sounds that differ by a gain only.
    """
    by_sound = defaultdict(list)
    for recording, digest in zip(recordings, sound_sha256, strict=True):
        by_sound[digest].append(recording)
    return [tuple(same) for same in by_sound.values() if len(same) > 1]


def duplicates(same_sounds: Sequence[Sequence[SourceRecording]]) -> tuple[str, ...]:
    """One sentence per sound that is there more than once, with all in which what is said about it differs."""
    return tuple(_told(same) for same in same_sounds)


def _told(same: Sequence[SourceRecording]) -> str:
    patients = sorted({each.patient for each in same})
    whose = f"patient {patients[0]}" if len(patients) == 1 else f"different patients ({', '.join(patients)})"
    conflicts = [
        f"{what} differ ({', '.join(sorted(values))})"
        for what, values in (
            ("diagnoses", {each.diagnosis_published for each in same}),
            ("labels", {each.sound_label for each in same}),
            ("sides of the official split", {each.official_split for each in same}),
        )
        if len(values) > 1
    ]
    if len({_intervals(each) for each in same}) > 1:
        conflicts.append("annotations differ")
    names = ", ".join(each.name for each in same)
    return "; ".join([f"the same sound in {names} of {whose}", *conflicts])


def _intervals(recording: SourceRecording) -> tuple[bytes, ...]:
    annotations = recording.annotations
    columns = (annotations.start_s, annotations.end_s, annotations.crackle, annotations.wheeze)
    return (*(column.tobytes() for column in columns), "\n".join(annotations.label.tolist()).encode())


def cut_annotations(recordings: Sequence[SourceRecording], durations_s: Sequence[float]) -> tuple[str, ...]:
    """Annotations that end a little after their sound does, which whoever cuts them out must know.

    Args:
        recordings: of one dataset; none is annotated beyond what `Annotations.fault` allows.
        durations_s: of the sounds.
    """
    beyond_s = {
        recording.name: float(recording.annotations.end_s.max()) - duration_s
        for recording, duration_s in zip(recordings, durations_s, strict=True)
        if len(recording.annotations) and recording.annotations.end_s.max() > duration_s
    }
    if not beyond_s:
        return ()
    worst = max(beyond_s, key=beyond_s.__getitem__)
    count = "1 recording is" if len(beyond_s) == 1 else f"{len(beyond_s)} recordings are"
    return (
        f"{count} annotated beyond the end of the sound, by at most {1000 * beyond_s[worst]:.1f} ms ({worst}); "
        "an interval is cut where the sound ends",
    )
