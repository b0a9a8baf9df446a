"""The API is what its OpenAPI document says: schemathesis tries to prove otherwise, and finds no 5xx."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from bento import openapi
from bento.errors import ANSWERS
from bento.openapi import document
from jaxresp.classifier import untrained

from .conftest import Served, breath, encode, environment


def test_every_status_that_is_answered_is_told() -> None:
    told = set(document()["paths"]["/v1/classify"]["post"]["responses"])
    assert told == {str(status) for status, _ in ANSWERS.values() if status != 499} | {"200", "500"}


def test_a_prediction_has_the_properties_that_are_told() -> None:
    prediction = untrained("binary-mfcc").predict(encode(breath(1, 4_000), 4_000)).to_json()
    schemas = document()["components"]["schemas"]
    assert prediction.keys() == schemas["Prediction"]["properties"].keys()
    assert prediction["audio"].keys() == schemas["AudioFacts"]["properties"].keys()
    assert prediction["model"].keys() == schemas["Prediction"]["properties"]["model"]["properties"].keys()


def test_the_readme_tells_of_every_error_under_its_status() -> None:
    told = {}
    for line in (Path(openapi.__file__).parent / "README.md").read_text().splitlines():
        if row := re.fullmatch(r"\| (\d{3}) \| (.*) \|", line):
            told |= dict.fromkeys(re.findall(r"[A-Z][a-z]+[A-Z]\w+|Overloaded", row[2]), int(row[1]))
    expected = {kind.__name__: status for kind, (status, _) in ANSWERS.items() if status != 499}
    assert told | {"AudioError": 422} == expected


def test_the_service_describes_itself_so(served: Served) -> None:
    assert httpx.get(f"{served.url}/docs.json").json() == document()
    routes = {route["route"] for route in httpx.get(f"{served.url}/schema.json").json()["routes"]}
    assert {route for route in routes if route.startswith("/v1/")} <= document()["paths"].keys()


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("schemathesis") is None, reason="schemathesis is not installed")
def test_schemathesis_finds_nothing(served: Served) -> None:
    """Also checked: content types, schemas and headers of every answer, and that unknown methods are refused."""
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{served.url}/docs.json", "--max-examples", "30"]
    # Most bytes are no sound: a form that fits the document may still be refused.
    command += ["--exclude-checks", "positive_data_acceptance", "--no-color", "--request-timeout", "60"]
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        command,
        env=environment(SCHEMATHESIS_HOOKS="schemathesis_hooks", PYTHONPATH=path),
        cwd=served.pages,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-8000:]
    generated = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert generated and int(generated[1]) > 200, done.stdout[-2000:]
