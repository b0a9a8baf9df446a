"""docs/extending.md: its program runs as it stands there, from a front end and a network to an answer."""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxresp.frontend
import jaxresp.models
import jaxresp.tracking
from jaxresp.classifier import Classifier
from jaxresp.corpus import prepare
from jaxresp.frontend import FrontEnd, UnknownFrontend, frontend_from_dict
from jaxresp.synthetic import SyntheticConfig, write_corpus

PAGE = Path(__file__).resolve().parents[1] / "docs" / "extending.md"


class _NoTracker:
    """MLflow's part is in tests/test_tracking.py."""

    def __init__(self, *_: Any) -> None:
        pass

    def start_study(self, *_: Any) -> str:
        return "untracked"

    def log_trial(self, *_: Any, **__: Any) -> None:
        pass

    finish_study = fail_study = close = log_trial


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Every block of the page, one after another, as one program; and what it leaves."""
    folder = tmp_path_factory.mktemp("extending")
    config = SyntheticConfig(patients_per_group=3, recordings_per_patient=(1, 1), duration_s=(5.0, 6.0))
    source = write_corpus(folder / "icbhi", config)
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 4
    (folder / "extending.py").write_text("\n".join(blocks))
    given = {
        "prepared": prepare(source, folder / "data", partial=True),
        "work": folder / "work",
        "recording": next(source.rglob("*.wav")),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaxresp.tracking, "Tracker", _NoTracker)
        patch.setattr(jaxresp.frontend, "FRONTENDS", dict(jaxresp.frontend.FRONTENDS))
        patch.setattr(jaxresp.models, "NETWORKS", dict(jaxresp.models.NETWORKS))
        left = runpy.run_path(str(folder / "extending.py"), init_globals=given)
        left["registered"] = dict(jaxresp.frontend.FRONTENDS)
        left["read back"] = frontend_from_dict(json.loads(json.dumps(left["classifier"].frontend.to_dict())))
    return left


def test_both_are_trained_saved_and_loaded_by_name(program: dict[str, Any]) -> None:
    classifier = program["classifier"]
    assert type(classifier.frontend) is program["Roughness"] is program["registered"]["roughness"]
    assert classifier.spec.network.name == "averaging"
    assert program["results"][0].name == classifier.name == "binary-roughness"
    assert sum(program["answer"].probabilities.values()) == pytest.approx(1.0, abs=1e-6)
    assert program["read back"] == classifier.frontend


@pytest.mark.parametrize("n_samples", [16_384, 20_001])
def test_the_front_end_keeps_the_contract(program: dict[str, Any], n_samples: int) -> None:
    frontend: FrontEnd = program["Roughness"]()
    batch = np.random.default_rng(0).standard_normal((3, n_samples)).astype(np.float32)
    batch[1] = 0
    together = jax.jit(frontend)(batch)
    assert together.shape == (3, frontend.n_frames(n_samples), frontend.n_coefficients)
    assert together.dtype == jnp.float32
    assert np.isfinite(together).all()
    ways: list[Callable[[Any], Any]] = [frontend, jax.jit(jax.vmap(frontend))]
    for way in ways:
        np.testing.assert_allclose(way(jnp.asarray(batch)), together, rtol=1e-4, atol=1e-4)


def test_where_it_is_not_registered_a_classifier_says_whose_front_end_is_missing(program: dict[str, Any]) -> None:
    with pytest.raises(UnknownFrontend, match="no front end 'roughness'"):
        Classifier.load(program["work"] / "classifiers" / "binary-roughness")
