"""Laws of the table of the design space."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest

from jaxresp import design
from jaxresp.corpus import load, prepare
from jaxresp.design import Axes, Cell, DesignConfig, DesignError, cells_of, run_design
from jaxresp.synthetic import SyntheticConfig, write_corpus
from jaxresp.train import NonFiniteLoss, TrainConfig

AXES = Axes(
    band=("wide",), balance=("none", "smote"), augmentation=("off", "copies"), features=("mfcc",), network=("cnn1d",)
)
CONFIG = DesignConfig(axes=AXES, copies=1, filters=2, dense=4, training=TrainConfig(max_epochs=1, batch_size=16))


def test_every_combination_is_a_cell_but_smote_of_copies() -> None:
    cells = cells_of(Axes())
    assert len(cells) == len(set(cells)) == 2 * (5 * 2 - 1) * 3 * 2
    assert not any(cell.balance == "smote" and cell.augmentation == "copies" for cell in cells)
    with pytest.raises(DesignError, match="no cell is left"):
        cells_of(replace(AXES, balance=("smote",), augmentation=("copies",)))


@pytest.mark.slow
def test_a_table_is_resumed_and_extended_and_a_cell_is_trained_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synthetic = SyntheticConfig(patients_per_group=3, recordings_per_patient=(1, 1), duration_s=(5.0, 6.0))
    corpus = load(prepare(write_corpus(tmp_path / "icbhi", synthetic), tmp_path / "data", partial=True))
    trained, sweep = [], design.sweep

    def counted(problem: object, *arguments: object, **how: object) -> object:
        trained.append(problem.name)  # type: ignore[attr-defined]
        if "smote" in trained[-1]:
            raise NonFiniteLoss("the training loss became nan", epoch=1)
        return sweep(problem, *arguments, **how)

    monkeypatch.setattr(design, "sweep", counted)
    out = tmp_path / "out"
    table = run_design(corpus, out, CONFIG)
    assert trained == [cell.name for cell in cells_of(AXES)] and len(trained) == 3
    assert (out / "design.md").read_text() == table
    rows = list(csv.DictReader(io.StringIO((out / "design.csv").read_text())))
    assert [Cell(*(row[name] for name in Cell._fields)).name for row in rows][-1] == "mfcc-wide-off-smote-cnn1d"
    assert rows[-1]["validation_loss"] == "" and "diverged" in table
    for row in rows[:-1]:
        low, value, high = (float(row[f"balanced_accuracy{side}"]) for side in ("_low", "", "_high"))
        assert low <= value <= high
    assert [float(row["validation_loss"]) for row in rows[:-1]] == sorted(
        float(row["validation_loss"]) for row in rows[:-1]
    )
    assert run_design(corpus, out, CONFIG) == table
    assert len(trained) == 3
    run_design(corpus, out, replace(CONFIG, axes=replace(AXES, balance=("none", "class_weights"))))
    assert trained[3:] == ["mfcc-wide-off-class_weights-cnn1d", "mfcc-wide-copies-class_weights-cnn1d"]
