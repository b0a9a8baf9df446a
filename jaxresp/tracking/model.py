"""The file that MLflow runs to make the logged model ("models from code": nothing is pickled)."""

from __future__ import annotations

from mlflow.models import set_model

from jaxresp.tracking.pyfunc import ClassifierModel

set_model(ClassifierModel())
