"""Fitting the quality gate to training recordings, and how many of them it would refuse."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, Shaped

from jaxresp.corpus import Corpus
from jaxresp.evaluate.reliability import patient_weights
from jaxresp.gate import Gate, Measured, measure
from jaxresp.splits import Fold, tested_rows
from jaxresp.window import WindowConfig

_PARTS = 5  # the patients are held out in five parts to see how far a new one may lie
_RMS_MARGIN_DB = 20.0  # below the quietest of training: no answer depends on the gain, but little is left below
_BANDWIDTH_MARGIN = 0.8  # of the narrowest of training
_SHARE = 2.0  # of one patient, shrunk to its diagonal: few patients do not span the shape


def measure_all(corpus: Corpus) -> tuple[Measured, ...]:
    """What the gate looks at, of every recording of a corpus."""
    return tuple(
        measure(corpus.samples[corpus.offsets[i] : corpus.offsets[i + 1]], float(corpus.scale[i]), corpus.rate_hz)
        for i in range(len(corpus))
    )


def fit_gate(
    measured: Sequence[Measured],
    bandwidth_hz: Float[np.ndarray, " recordings"],
    patients: Shaped[np.ndarray, " recordings"],
    rows: Int[np.ndarray, " rows"],
    window: WindowConfig,
) -> Gate:
    """Limits from some recordings of a corpus: those that the network is fitted on.

    A new patient like them is further away than all of n held-out ones with a chance of about 1 / (n + 1); limits on
    length, loudness and bandwidth lie beyond every one of them.

    Args:
        measured: of every recording; see `measure_all`.
        bandwidth_hz: of every recording, as AudioFacts.bandwidth_hz.
        patients: whose it is.
        rows: the recordings to fit on.
        window: how recordings are cut.
    """
    seen, patients = [measured[i] for i in rows.tolist()], patients[rows]
    shape = np.stack([each.shape for each in seen])
    names, patient = np.unique(patients, return_inverse=True)
    part = patient % min(_PARTS, names.size)
    held_out = np.zeros(len(seen))
    for each in np.unique(part):
        own, others = part == each, part != each
        if others.any():
            mean, precision = _normal(shape[others], patients[others])
            held_out[own] = _distances(shape[own], mean, precision)
    mean, precision = _normal(shape, patients)
    return Gate(
        n_patients=int(names.size),
        min_duration_s=round(min(min(each.duration_s for each in seen), window.length_s / 2), 2),
        min_rms_dbfs=round(min(each.rms_dbfs for each in seen) - _RMS_MARGIN_DB, 1),
        min_bandwidth_hz=round(float(np.nanmin(bandwidth_hz[rows])) * _BANDWIDTH_MARGIN, 1),
        mean=_rounded(mean),
        precision=tuple(_rounded(row) for row in precision),
        max_distance=float(np.max(held_out)) if names.size > 1 else None,
    )


def refused_share(
    measured: Sequence[Measured],
    bandwidth_hz: Float[np.ndarray, " recordings"],
    patients: Shaped[np.ndarray, " recordings"],
    folds: tuple[Fold, ...],
    window: WindowConfig,
) -> float:
    """The share of tested recordings, every patient weighing the same, that the gate of their fold would refuse.

    That gate did not see their patients: so many good recordings are lost. (What was clipped is not known here.)
    """
    refused, tested = np.zeros(len(measured)), tested_rows(folds)
    for fold in folds:
        gate = fit_gate(measured, bandwidth_hz, patients, np.concatenate([fold.train, fold.validation]), window)
        for i in fold.test.tolist():
            refused[i] = gate.refusal_of(measured[i], float(bandwidth_hz[i])) is not None
    return float(patient_weights(patients[tested]) @ refused[tested])


def _normal(
    shape: Float[np.ndarray, "n shape"], patients: Shaped[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " shape"], Float[np.ndarray, "shape shape"]]:
    """Mean and inverse covariance, every patient weighing the same; shrunk towards independent columns."""
    weight = patient_weights(patients)
    mean = weight @ shape
    away = shape - mean
    covariance = (away * weight[:, None]).T @ away
    spread = np.maximum(np.diag(covariance), 1e-4)
    share = min(1.0, _SHARE * shape.shape[1] / np.unique(patients).size)
    return mean, np.linalg.inv((1 - share) * covariance + share * np.diag(spread) + 1e-6 * np.eye(len(mean)))


def _distances(
    shape: Float[np.ndarray, "n shape"],
    mean: Float[np.ndarray, " shape"],
    precision: Float[np.ndarray, "shape shape"],
) -> Float[np.ndarray, " n"]:
    away = shape - mean
    return np.sqrt(np.einsum("ni,ij,nj->n", away, precision, away))


def _rounded(values: Float[np.ndarray, " n"]) -> tuple[float, ...]:
    """Six digits: a limit is not known better, and the file stays readable."""
    return tuple(float(f"{value:.6g}") for value in values)
