"""Every example of the documentation, run against the service: it works, and the answer has the form that is shown."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bento.store import DEFAULT_QUICK, NAMES
from jaxresp import shipped

from .conftest import Served, assert_same_answer, breath, encode

ROOT = shipped.root()
CLIENT = ROOT / "bento" / "clients" / "jaxresp_client.py"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", (ROOT / "docs" / "api.md").read_text(), re.DOTALL)
HOST = re.compile(r"(http://)?(localhost|127\.0\.0\.1):3000")
SAME = {"type", "class", "method", "name", "task", "features"}  # words that must be the very ones


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the examples speak of."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "recording.wav").write_bytes(encode(breath(7, 4_000), 4_000))
    (folder / "another.wav").write_bytes(encode(breath(12, 8_000, 1), 8_000))
    (folder / "notes.txt").write_text("not a sound")
    shutil.copy(CLIENT, folder)
    return folder


def run(command: str, served: Served, folder: Path) -> str:
    """Run a shell command of the documentation; what it prints."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    command = HOST.sub(served.url, command).replace("python ", f"{sys.executable} ")
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def assert_same_form(shown: Any, given: Any, at: str = "") -> None:
    """Is what is shown a part of what was given, but for the values?"""
    if isinstance(shown, dict):
        assert isinstance(given, dict) and shown.keys() <= given.keys(), f"{at}: {shown} is shown, {given} given"
        for key, value in shown.items():
            if key in SAME and value != "...":
                assert given[key] == value, f"{at}/{key}"
            assert_same_form(value, given[key], f"{at}/{key}")
    elif isinstance(shown, list):
        assert isinstance(given, list) and len(given) >= len(shown), f"{at}: {shown} is shown, {given} given"
        for k, (one, other) in enumerate(zip(shown, given, strict=False)):
            assert_same_form(one, other, f"{at}[{k}]")
    elif isinstance(shown, (bool, str)) and not at.endswith(("/label", "/reason")):
        assert type(given) is type(shown), f"{at}: {shown!r} is shown, {given!r} given"
    elif isinstance(shown, (int, float)):
        assert isinstance(given, (int, float)), f"{at}: {shown!r} is shown, {given!r} given"


def test_commands_answer_what_is_shown(served: Served, folder: Path) -> None:
    n_compared = 0
    for k, (language, text) in enumerate(BLOCKS):
        if language != "sh":
            continue
        printed = run(text, served, folder)
        shown = BLOCKS[k + 1][1] if k + 1 < len(BLOCKS) and BLOCKS[k + 1][0] == "json" else None
        if shown is not None:
            assert_same_form(json.loads(shown), json.loads(printed), text.strip())
            n_compared += 1
    assert n_compared == sum(language == "json" for language, _ in BLOCKS), "an answer is shown to no command"


def test_every_endpoint_has_an_example() -> None:
    commands = "".join(text for language, text in BLOCKS if language == "sh")
    for route in ("classify", "classify_with", "classify_many", "compare", "explain", "models", "models/binary-logmel"):
        assert re.search(rf"/v1/{route}\s", commands), route


def test_the_answers_are_the_offline_ones(served: Served, folder: Path) -> None:
    (command,) = [
        text
        for language, text in BLOCKS
        if language == "sh" and text.strip().endswith("=@recording.wav http://localhost:3000/v1/compare")
    ]
    predictions = json.loads(run(command, served, folder))["predictions"]
    for name in NAMES:
        assert_same_answer(predictions[name], served.offline[name].predict(folder / "recording.wav").to_json())


def test_commands_of_the_readmes(served: Served, folder: Path) -> None:
    for path in (ROOT / "README.md", ROOT / "bento" / "README.md"):
        text = path.read_text().replace("\\\n", " ")
        commands = [line.split("#")[0].strip() for line in text.splitlines() if line.lstrip().startswith("curl ")]
        assert len(commands) >= 4, path
        for command in commands:
            assert run(re.sub(r"@\S+", "@recording.wav", command), served, folder)


def test_the_python_example(served: Served, folder: Path) -> None:
    (example,) = [text for language, text in BLOCKS if language == "python"]
    (folder / "example.py").write_text(HOST.sub(served.url, example))
    done = subprocess.run([sys.executable, "example.py"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    offline = served.offline[DEFAULT_QUICK]
    labels = [offline.predict(folder / name).label for name in ("recording.wav", "another.wav")]
    assert lines[0].startswith(f"{labels[0]} ") and lines[1:3] == labels
    assert [line.split()[0] for line in lines[3:9]] == list(NAMES)
    kind, status, request_id = lines[-1].split()
    assert (kind, status) == ("UnreadableAudio", "422") and request_id in served.log.read_text()


def test_the_client_asks_everything(served: Served, folder: Path) -> None:
    client = shipped.load_module("bento/clients/jaxresp_client.py", "jaxresp_client").Client(served.url)
    sound = (folder / "recording.wav").read_bytes()
    expected = served.offline["binary-mfcc"].predict(sound).to_json()
    assert_same_answer(client.classify_with(sound, "binary", "mfcc"), expected)
    (answer, error) = client.classify_many([sound, b"no sound"], "binary", "mfcc")
    assert_same_answer(answer["prediction"], expected)
    assert error["error"]["type"] == "UnreadableAudio"
    assert client.explain(sound, "binary", "mfcc", "Normal")["explanation"]["class"] == "Normal"
    assert [model["name"] for model in client.models()] == list(NAMES)
    assert client.model("binary-mfcc")["card"] == served.offline["binary-mfcc"].card
