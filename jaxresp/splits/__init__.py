"""Who trains, who validates and who is tested, and the proof that no patient does two of these.

    fold.py       one division: its rows, its count, whether it is disjoint
    split.py      Split: folds, what is left out and why, and the sentences to print
    grouped.py    whole patients dealt out over folds, every class on every side
    cohorts.py    our own splits: cross-validation, the children with a single channel, one corpus left out
    published.py  ICBHI's and SPRSound's own splits, as published and corrected
    named.py      all of these by name, for a corpus and a task
    printing.py   their proof, for the terminal
    leaking.py    a split that leaks: for the leakage audit only; it is no Split, and nothing here exports it

A Split proves itself when it is made, and again to whoever uses it.
"""

from jaxresp.splits.cohorts import children_single_channel, cross_validation, leave_one_corpus_out
from jaxresp.splits.fold import SIDES, Fold, PatientLeak, SplitError, assert_disjoint, describe, tested_rows
from jaxresp.splits.grouped import grouped_stratified_folds
from jaxresp.splits.named import SPLITS, check_split_name, first_task, make_split, splits_of
from jaxresp.splits.published import icbhi_official, sprsound_official
from jaxresp.splits.split import Kind, LeftOut, Split

__all__ = [
    "SIDES",
    "SPLITS",
    "Fold",
    "Kind",
    "LeftOut",
    "PatientLeak",
    "Split",
    "SplitError",
    "assert_disjoint",
    "check_split_name",
    "children_single_channel",
    "cross_validation",
    "describe",
    "first_task",
    "grouped_stratified_folds",
    "icbhi_official",
    "leave_one_corpus_out",
    "make_split",
    "splits_of",
    "sprsound_official",
    "tested_rows",
]
