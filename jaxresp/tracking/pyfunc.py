"""The released Classifier as MLflow serves it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import ModelSignature, set_model
from mlflow.pyfunc import PythonModel
from mlflow.types.schema import ColSpec, Schema

from jaxresp.classifier import Classifier

__all__ = ["ClassifierModel", "requirements", "set_model", "signature"]

#: What the logged model needs to answer. jaxresp itself travels inside the model, as code.
_REQUIREMENTS = ("jax", "flax", "optax", "numpy", "scipy", "soundfile", "soxr", "jaxtyping", "pandas", "mlflow")


class ClassifierModel(PythonModel):
    """A Classifier as MLflow's `pyfunc`: a table with a column `audio` (a file's bytes) → label and probabilities."""

    def load_context(self, context: Any) -> None:
        self._classifier = Classifier.load(Path(context.artifacts["classifier"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Answer every row.

        Raises:
            AudioError: a row that is no usable sound; names the row.
        """
        answers = [self._classifier.predict(data, name=f"row {i}") for i, data in enumerate(model_input["audio"])]
        table = pd.DataFrame([dict(answer.probabilities) for answer in answers])
        table.insert(0, "label", [answer.label for answer in answers])
        return table


def signature(classes: Sequence[str]) -> ModelSignature:
    """`audio` → `label` and a probability per class."""
    outputs = [ColSpec("string", "label"), *(ColSpec("double", name) for name in classes)]
    return ModelSignature(inputs=Schema([ColSpec("binary", "audio")]), outputs=Schema(outputs))


def requirements() -> list[str]:
    """What the logged model is installed with: the versions that are here."""
    return [f"{name}=={version(name)}" for name in _REQUIREMENTS]
