"""One network, fitted: the jitted step, early stopping, and the weights that were best.

The step is compiled once per network shape: every strength is traced, so that a sweep over strengths compiles
nothing. It is called from a Python loop because XLA runs convolutions inside `lax.scan` on a CPU five to fifteen times
slower than outside it; dispatch is asynchronous, and nothing is read back before the epoch ends.
"""

from __future__ import annotations

from jaxresp.train.config import InvalidTraining, TrainConfig
from jaxresp.train.checkpoint import CheckpointMismatch, CheckpointUnusable, CheckpointWarning
from jaxresp.train.diverged import NonFiniteLoss
from jaxresp.train.fitted import Fit, Standardisation, fit_standardisation, from_arrays, standardise, to_arrays
from jaxresp.train.fitting import EmptySide, fit
from jaxresp.train.mesh import MeshError, data_mesh
from jaxresp.train.predicting import embed_windows, predict, predict_windows, window_logits

__all__ = [
    "CheckpointMismatch",
    "CheckpointUnusable",
    "CheckpointWarning",
    "EmptySide",
    "Fit",
    "InvalidTraining",
    "MeshError",
    "NonFiniteLoss",
    "Standardisation",
    "TrainConfig",
    "data_mesh",
    "embed_windows",
    "fit",
    "fit_standardisation",
    "from_arrays",
    "predict",
    "predict_windows",
    "standardise",
    "to_arrays",
    "window_logits",
]
