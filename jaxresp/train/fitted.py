"""What training leaves: the weights that were best, and what their input is standardised by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Float32

from jaxresp.models import NetworkConfig, Weights, storage


class Standardisation(NamedTuple):
    """Mean and standard deviation of every coefficient, fitted on clean training windows."""

    mean: Float32[np.ndarray, " coefficients"]
    std: Float32[np.ndarray, " coefficients"]


@dataclass(frozen=True)
class Fit:
    """A fitted network.

    Attributes:
        weights: of the best epoch.
        standardisation: of its input features.
        best_epoch: 1 for the first.
        score: validation loss (class-balanced log loss of recordings) at that epoch; NaN without validation.
        history: training and validation loss of every epoch run.
    """

    weights: Weights
    standardisation: Standardisation
    best_epoch: int
    score: float
    history: tuple[dict[str, float], ...] = field(default=(), compare=False)


def to_arrays(weights: Weights, by: Standardisation) -> dict[str, np.ndarray]:
    """What a fitted network is made of, by name."""
    return storage.to_arrays(weights) | {"standardisation/mean": by.mean, "standardisation/std": by.std}


def from_arrays(
    arrays: Mapping[str, np.ndarray], network: NetworkConfig, n_coefficients: int, n_outputs: int
) -> tuple[nnx.GraphDef, Weights, Standardisation]:
    """Inverse of `to_arrays`, given the architecture.

    Raises:
        WeightsMismatch: arrays that do not fit it.
    """
    own = dict(arrays)
    try:
        by = Standardisation(own.pop("standardisation/mean"), own.pop("standardisation/std"))
    except KeyError as error:
        raise storage.WeightsMismatch(f"the stored arrays lack {error}") from error
    return *storage.from_arrays(own, network, n_coefficients, n_outputs), by


def fit_standardisation(features: Float32[np.ndarray, "n frames coefficients"]) -> Standardisation:
    """Per-coefficient mean and standard deviation over windows and frames; a constant coefficient is left unscaled."""
    mean = features.mean((0, 1), dtype=np.float64)
    std = features.std((0, 1), dtype=np.float64)
    return Standardisation(mean.astype(np.float32), np.where(std > 1e-6, std, 1.0).astype(np.float32))


def standardise(
    features: Float[Array | np.ndarray, "*n frames coefficients"], by: Standardisation
) -> Float[Array | np.ndarray, "*n frames coefficients"]:
    """Features in units of the training rows' standard deviation, around their mean."""
    return (features - by.mean) / by.std
