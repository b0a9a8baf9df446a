"""One network, fitted: the step, the epochs it is taken in, early stopping, and the weights that were best.

A step is compiled once per network shape: what a sweep searches is traced, and compiles nothing. `epoch` says how
an epoch runs on a device, `checkpoint` what a killed training goes on from, `mesh` how several devices share one.
"""

from __future__ import annotations

from jaxresp.train.checkpoint import CheckpointMismatch, CheckpointUnusable, CheckpointWarning
from jaxresp.train.config import InvalidTraining, TrainConfig
from jaxresp.train.diverged import NonFiniteLoss
from jaxresp.train.fitted import Fit, Standardisation, fit_standardisation, from_arrays, standardise, to_arrays
from jaxresp.train.fitting import EmptySide, fit
from jaxresp.train.memory import PopulationTooLarge
from jaxresp.train.mesh import MeshError, data_mesh
from jaxresp.train.population import Member, fit_many, population_pays
from jaxresp.train.predicting import embed_windows, predict, predict_windows, window_logits

__all__ = [
    "CheckpointMismatch",
    "CheckpointUnusable",
    "CheckpointWarning",
    "EmptySide",
    "Fit",
    "InvalidTraining",
    "Member",
    "MeshError",
    "NonFiniteLoss",
    "PopulationTooLarge",
    "Standardisation",
    "TrainConfig",
    "data_mesh",
    "embed_windows",
    "fit",
    "fit_many",
    "fit_standardisation",
    "from_arrays",
    "population_pays",
    "predict",
    "predict_windows",
    "standardise",
    "to_arrays",
    "window_logits",
]
