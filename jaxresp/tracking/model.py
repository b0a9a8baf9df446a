"""The file that MLflow runs to make the logged model ("models from code": nothing is pickled)."""

from __future__ import annotations

from jaxresp.tracking.pyfunc import ClassifierModel, set_model

set_model(ClassifierModel())
