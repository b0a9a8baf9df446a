"""The faults by name.

Each is held against a protocol that does the same thing right and differs from it in that one thing, so that the
difference is what the fault adds and not what, say, augmentation gains.

Where they must show, and where they must not:

* "patient": a patient's recordings share something of his own, and his label. Only then does it help to have trained
  on him. On labels that have nothing to do with the patient the interval holds 0.
* "unit": a tested unit is itself recognised in the training rows that were made from it, with its label. It shows as
  soon as windows differ and the network can learn them by heart: also on labels that have nothing to do with sound.
* "choice": the best of many epochs is taken, so that chance is taken for skill. It shows on any labels, most where
  patients are few and epochs many. Where the network is at its ceiling there is little left to choose.
* "scale": the tested sounds are shown in units that they had a part in. It shows only where they lie elsewhere than
  all that is trained on, as with a recorder that hums where the others are silent; among patients who could be
  exchanged for each other the interval holds 0, and with batch normalisation behind it nearly nothing moves.
* "scoring": the same answers under a kinder score. It shows wherever one abnormal class is taken for another.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from jaxresp.errors import JaxrespError

Leaks = Literal["patient", "unit", "choice", "scale", "scoring"]


class AuditError(JaxrespError):
    """What cannot be audited."""


@dataclass(frozen=True)
class Fault:
    """One way to measure too much.

    Attributes:
        name: as on the command line.
        against: the protocol that does the same thing right, a key of HONEST.
        what: what is done wrong, for the report.
        leaks: what is given away, and so where it must show; see above.
    """

    name: str
    against: str
    what: str
    leaks: Leaks


HONEST: Mapping[str, str] = MappingProxyType(
    {
        "honest": "patients on one side each; epoch chosen by validation patients; fitted on training patients",
        "honest-augmented": "the same, with augmented copies of the training windows",
        "honest-smote": "the same, with SMOTE among the training windows instead of class weights",
    }
)
"""The protocols that faults are held against."""

FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        fault.name: fault
        for fault in (
            Fault(
                "split-by-recording",
                "honest",
                "recordings are dealt out over the sides, not patients",
                "patient",
            ),
            Fault(
                "overlapping-patients",
                "honest",
                "some patients stand on both sides and are left in",
                "patient",
            ),
            Fault(
                "augmented-before-split",
                "honest-augmented",
                "augmented copies are dealt out like windows of their own: some of those trained on were made from "
                "tested windows",
                "unit",
            ),
            Fault(
                "smote-before-split",
                "honest-smote",
                "SMOTE is done on the whole corpus: some of the rows trained on lie between tested windows",
                "unit",
            ),
            Fault(
                "epoch-on-test",
                "honest",
                "the epoch with the best balanced accuracy on the test side is kept",
                "choice",
            ),
            Fault(
                "normalised-on-all",
                "honest",
                "mean and deviation are fitted on all windows, tested ones too",
                "scale",
            ),
            Fault(
                "lenient-sensitivity",
                "honest",
                "any abnormal class counts as a hit for any other, under the name of the official score",
                "scoring",
            ),
        )
    }
)
"""The faults, in the order of reports."""


def faults_named(names: Sequence[str]) -> tuple[Fault, ...]:
    """Faults by name, each once and in the order of reports; all where none is named.

    Raises:
        AuditError: with the nearest name.
    """
    for name in names:
        if name not in FAULTS:
            near = difflib.get_close_matches(name, FAULTS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise AuditError(f"there is no fault {name!r}; choose from {', '.join(FAULTS)}.{hint}")
    return tuple(fault for name, fault in FAULTS.items() if not names or name in names)
