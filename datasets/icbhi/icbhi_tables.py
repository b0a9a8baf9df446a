"""ICBHI's text files, each → what it says, with every line that says nothing noted as a fault."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from jaxresp.corpus.archive import ArchiveError, ZipMember
from jaxresp.corpus.source import Annotations, Faults, SourceFile
from jaxresp.shipped import load_module
from jaxresp.taxonomy import DIAGNOSES

published = load_module("datasets/icbhi/icbhi_published.py", "jaxresp._shipped_icbhi_published")

_RECORDING_NAME = re.compile(r"(\d{3})_(\w+?)_(Tc|[APL][lr])_(sc|mc)_([A-Za-z0-9]+)")


@dataclass(frozen=True)
class Key:
    """A recording's name without its stethoscope: that tag is disputed, and tables are joined without it."""

    patient: str
    index: str
    location: str
    mode: str

    def __str__(self) -> str:
        return f"{self.patient}_{self.index}_{self.location}_{self.mode}"


def parse_name(name: str) -> tuple[Key, str] | None:
    """A recording's name → its key and its stethoscope, or None for what is no such name."""
    match = _RECORDING_NAME.fullmatch(name)
    return None if match is None else (Key(*match.groups()[:4]), match.group(5))


@dataclass(frozen=True)
class Demographics:
    """What is known of a patient; NaN and "" where it is not.

    ICBHI gives the BMI of adults, weight and height of children.
    """

    age_years: float = math.nan
    sex: str = ""
    bmi: float = math.nan
    weight_kg: float = math.nan
    height_cm: float = math.nan


def read_diagnoses(file: SourceFile, faults: Faults) -> dict[str, str]:
    """Patient → diagnosis, from the official file (tabs, no header) or Kaggle's (commas, with or without one)."""
    diagnosis: dict[str, str] = {}
    for where, line in _lines(file, faults):
        fields = [value.strip() for value in line.replace("\t", ",").split(",")]
        if fields == ["ID", "CLASS"]:
            continue
        if len(fields) != 2 or not fields[0].isdigit():
            faults.add(where, f"{line!r} is not a patient and a diagnosis", "restore the published line")
        elif fields[1] not in DIAGNOSES:
            faults.add(where, f"unknown diagnosis {fields[1]!r}", f"use one of {', '.join(DIAGNOSES)}")
        elif diagnosis.setdefault(fields[0], fields[1]) != fields[1]:
            faults.add(where, f"a second diagnosis for patient {fields[0]}", "keep the right one")
    return diagnosis


def read_demographics(file: SourceFile, faults: Faults) -> dict[str, Demographics]:
    """Patient → demographics."""
    known: dict[str, Demographics] = {}
    for where, line in _lines(file, faults):
        try:
            patient, age, sex, *body = line.split()
            bmi, weight, height = (_number(value) for value in body)
            if sex not in ("F", "M", "NA"):
                raise ValueError(sex)
            person = Demographics(_number(age), "" if sex == "NA" else sex, bmi, weight, height)
        except ValueError:
            faults.add(
                where,
                f"{line!r} is not patient, age, sex, BMI, weight, height",
                "restore the published line; missing values are NA",
            )
            continue
        # repr, as NaN is not equal to itself
        if repr(known.setdefault(patient, person)) != repr(person):
            faults.add(where, f"a second, different line for patient {patient}", "keep the right one")
    return known


def _number(value: str) -> float:
    if value == "NA":
        return math.nan
    number = float(value)
    if not 0 <= number < math.inf:
        raise ValueError(value)
    return number


def read_splits(file: SourceFile, faults: Faults) -> dict[Key, str]:
    """Recording → its side. The published file names another stethoscope in one row (226_1b1_Pl_sc)."""
    splits: dict[Key, str] = {}
    for where, line in _lines(file, faults):
        fields = line.split()
        parsed = parse_name(fields[0])
        if parsed is None or len(fields) != 2 or fields[1] not in ("train", "test"):
            faults.add(where, f"{line!r} is not a recording and a side", "restore the line")
        elif splits.setdefault(parsed[0], fields[1]) != fields[1]:
            faults.add(where, f"a second side for {parsed[0]}", "keep the right one")
    return splits


def read_differences(file: SourceFile, faults: Faults) -> dict[Key, str]:
    """Recording → the other stethoscope that the publisher names for it.

    The file lists names in quotes, as they stand in another edition of the database: each is that of a recording here
    but for the stethoscope. Which of the two is right is not known.
    """
    differences: dict[Key, str] = {}
    for where, line in _lines(file, faults):
        parsed = parse_name(line.strip().strip("'\""))
        if parsed is None:
            faults.add(where, f"{line!r} is not the name of a recording", "restore the line")
        elif differences.setdefault(parsed[0], parsed[1]) != parsed[1]:
            faults.add(where, f"a second stethoscope for {parsed[0]}", "keep the published one")
    return differences


def read_cycles(file: SourceFile, faults: Faults) -> Annotations | None:
    """The cycles of a recording: start and end in seconds, one after another, and the flags crackle and wheeze."""
    rows: list[tuple[float, float, bool, bool]] = []
    before = len(faults.found)
    for where, line in _lines(file, faults):
        fields = line.split()
        try:
            start, end = float(fields[0]), float(fields[1])
            sound = len(fields) == 4 and all(flag in ("0", "1") for flag in fields[2:]) and 0 <= start < end < math.inf
        except (ValueError, IndexError):
            sound = False
        if not sound:
            what = f"{line!r} is not start, end (seconds, start before end), crackle, wheeze (0 or 1)"
            faults.add(where, what, "restore the published line")
            continue
        if rows and start < rows[-1][1] - 1e-6:  # the published cycles never do
            what = f"a cycle begins at {start:g} s, before the one above it ends ({rows[-1][1]:g} s)"
            faults.add(where, what, "restore the published file")
        rows.append((start, end, fields[2] == "1", fields[3] == "1"))
    if len(faults.found) > before:
        return None
    if not rows:
        faults.add(file.name, "no cycle is annotated", "restore the published file")
        return None
    start_s, end_s, crackle, wheeze = map(np.array, zip(*rows, strict=True))
    label = np.array(published.LABELS, np.str_)[crackle + 2 * wheeze]
    return Annotations(start_s.astype(np.float32), end_s.astype(np.float32), label, crackle, wheeze)


def _lines(file: SourceFile, faults: Faults) -> Iterator[tuple[str, str]]:
    """The lines with something in them, and what a fault calls each.

    Bytes that are no UTF-8 become �, which the line that holds them is then refused for.
    """
    if isinstance(file, ZipMember):
        try:
            content = file.read_bytes()
        except ArchiveError as error:
            faults.add(file.name, str(error).removeprefix(f"{file.name}: "), "download the archive again")
            return
    else:
        content = file.read_bytes()
    # splitlines() alone would also break at characters that only other encodings put there
    lines = content.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield f"{file.name}, line {number}", line
