"""What ICBHI 2017 holds, counted: a folder that is called complete must agree with every number here.

From the publisher's own annotations, diagnoses and file names (Rocha et al., Physiol. Meas. 40, 035001, 2019).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

RECORDINGS, PATIENTS, CYCLES = 920, 126, 6_898

LABELS = ("normal", "crackle", "wheeze", "both")
"""What a cycle's two flags say."""

PATIENTS_BY_DIAGNOSIS: Mapping[str, int] = MappingProxyType(
    {"COPD": 64, "Healthy": 26, "URTI": 14, "Bronchiectasis": 7, "Bronchiolitis": 6, "Pneumonia": 6, "LRTI": 2,
     "Asthma": 1}
)  # fmt: skip

RECORDINGS_BY_DIAGNOSIS: Mapping[str, int] = MappingProxyType(
    {"COPD": 793, "Pneumonia": 37, "Healthy": 35, "URTI": 23, "Bronchiectasis": 16, "Bronchiolitis": 13, "LRTI": 2,
     "Asthma": 1}
)  # fmt: skip

CYCLES_BY_LABEL: Mapping[str, int] = MappingProxyType({"normal": 3_642, "crackle": 1_864, "wheeze": 886, "both": 506})

DISPUTED = 91
"""Rows of filename_differences.txt."""
