"""Hyper-parameter search by Optuna, inside the folds of a patient-disjoint cross-validation.

Every trial trains one network per fold and is scored on that fold's validation patients. A fold then answers for its
test patients with the trial that its own validation preferred: no setting, no epoch and no weight in an out-of-fold
answer was chosen by the patients it is about. (Optuna's first ten proposals look at no score at all; in longer
studies the sampler sees the mean over folds, and pruning compares them, which may carry a trace of one fold's test
patients from another fold's validation: the report says so.)

    space problem banks     what is searched, and how settings become a network, its training and its features
    trial                   one setting, trained; as a value and as a folder, written whole
    pruning                 when a trial is given up
    storages study          where a study is kept; its places, and who takes them
    workers worker          several processes
    sweeping answers        the whole of it; what comes of it
"""

from __future__ import annotations

from jaxresp.sweep.answers import (
    best_trial,
    chosen_trial,
    fit_final,
    fold_embeddings,
    out_of_fold_logits,
    out_of_fold_windows,
)
from jaxresp.sweep.banks import Banks
from jaxresp.sweep.problem import Problem, UnknownSetting
from jaxresp.sweep.pruning import PRUNINGS, UnknownPruning
from jaxresp.sweep.space import ORIGINAL, SPACES, SearchSpace, UnknownSpace, space_named
from jaxresp.sweep.storages import StorageError
from jaxresp.sweep.study import STARTUP_TRIALS, Report, StudyMismatch, looks_at_scores
from jaxresp.sweep.sweeping import sweep
from jaxresp.sweep.trial import Trial
from jaxresp.sweep.workers import WorkerDied

__all__ = [
    "ORIGINAL",
    "PRUNINGS",
    "SPACES",
    "STARTUP_TRIALS",
    "Banks",
    "Problem",
    "Report",
    "SearchSpace",
    "StorageError",
    "StudyMismatch",
    "Trial",
    "UnknownPruning",
    "UnknownSetting",
    "UnknownSpace",
    "WorkerDied",
    "best_trial",
    "chosen_trial",
    "fit_final",
    "fold_embeddings",
    "looks_at_scores",
    "out_of_fold_logits",
    "out_of_fold_windows",
    "space_named",
    "sweep",
]
