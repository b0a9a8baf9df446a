"""`jaxresp audit` on made-up recordings, as it is typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from jaxresp.corpus import prepare
from jaxresp.synthetic import SyntheticConfig, write_corpus

pytestmark = pytest.mark.slow


def test_patients_known_by_their_chests_are_found_through_the_command_line(tmp_path: Path) -> None:
    """No disease is heard, so the honest number is chance; a split by recording makes it look like a result."""
    config = SyntheticConfig(6, (5, 5), (5.0, 5.0), events_informative=False, plant_patient=True, seed=1)
    prepared = prepare(write_corpus(tmp_path / "icbhi", config), tmp_path / "data", partial=True)
    words = [sys.executable, "-m", "jaxresp.cli", "audit", str(prepared), "--features", "augmented", "--out", "found"]
    words += ["--faults", "split-by-recording", "--faults", "overlapping-patients", "--faults", "lenient-sensitivity"]
    words += ["--filters", "8", "--dense", "32", "--epochs", "30", "--learning-rate", "0.005", "--copies", "1"]
    said = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    audit = json.loads((tmp_path / "found" / "audit.json").read_text())
    by_recording, overlapping = audit["findings"]
    assert by_recording["verdict"] == "adds", by_recording
    low, high = by_recording["right"]["balanced_accuracy"][1:]
    assert low < 0.5 < high
    assert 0 < overlapping["n_touched"] < overlapping["n_patients"] == 18
    assert overlapping["adds_touched"]["balanced_accuracy"][0] > 0, overlapping
    assert "one abnormal class" in audit["impossible"]["lenient-sensitivity"]
    assert "split-by-recording" in said.stdout
    assert "90 recordings of 18 patients" in said.stdout

    again = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert again.returncode == 0
    assert json.loads((tmp_path / "found" / "audit.json").read_text()) == audit

    other = subprocess.run([*words, "--dropout", "0.5"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert other.returncode == 2
    assert "belongs to another run" in other.stderr
