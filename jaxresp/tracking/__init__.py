"""MLflow: what was tried, what came of it, and the model that came out.

One experiment per corpus. A study is a parent run with its hashes, settings and search space, and in the end its
metrics, plots, out-of-fold answers, model card and the model, which is registered; each trial is a child run, logged as
it ends.

    spool       what is to be told, as files in the model's folder
    store       one MLflow experiment: how a study and a trial are written into it
    finishing   what is written once a study has its result
    outbox      the thread that tells the store what the spool holds, and tries again while nobody answers
    tracker     what a run calls

MLflow is imported when a Tracker is made, not before.
"""

from __future__ import annotations

from jaxresp.tracking.spool import Spool
from jaxresp.tracking.tracker import Tracker, TrackingError, store_name

__all__ = ["Spool", "Tracker", "TrackingError", "store_name"]
