"""Several corpora as one."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np

from jaxresp.corpus.recordings import per_recording
from jaxresp.corpus.source import Annotations, CorpusError
from jaxresp.corpus.table import Corpus


def combine(corpora: Sequence[Corpus]) -> Corpus:
    """Several corpora as one. Patients and recordings are named "dataset:name", so that none meets a namesake.

    Raises:
        CorpusError: none given, a dataset twice, or sampling rates that differ.
    """
    names = [each.name for each in corpora]
    rates = sorted({each.rate_hz for each in corpora})
    if not corpora or len(set(names)) != len(names):
        raise CorpusError(f"cannot combine {names or 'nothing'}: name at least one corpus, and each once")
    if len(rates) > 1:
        raise CorpusError(f"cannot combine {', '.join(names)}: their rates are {rates} Hz; prepare them at one rate")

    def joined(name: str) -> np.ndarray:
        columns = [getattr(each, name) for each in corpora]
        if name in ("recording", "patient"):
            columns = [np.char.add(np.char.add(each.corpus, ":"), getattr(each, name)) for each in corpora]
        return np.concatenate(columns)

    def end_to_end(name: str) -> np.ndarray:
        lengths = [np.diff(getattr(each, name)) for each in corpora]
        return np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)

    return Corpus(
        name="+".join(names),
        version="+".join(each.version for each in corpora),
        partial=any(each.partial for each in corpora),
        made_up=any(each.made_up for each in corpora),
        findings=tuple(f"{each.name}: {finding}" for each in corpora for finding in each.findings),
        fingerprint=hashlib.sha256("\n".join(each.fingerprint for each in corpora).encode()).hexdigest(),
        rate_hz=rates[0],
        samples=np.concatenate([each.samples for each in corpora]),
        offsets=end_to_end("offsets"),
        annotations=Annotations(
            *(
                np.concatenate([getattr(each.annotations, f.name) for each in corpora])
                for f in dataclasses.fields(Annotations)
            )
        ),
        annotation_offsets=end_to_end("annotation_offsets"),
        **{f.name: joined(f.name) for f in per_recording()},
    )
