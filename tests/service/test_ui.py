"""The page's own endpoints: every mode answers as the Classifier does, and its uploads lose their names."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from gradio.queueing import Queue
from gradio_client import Client, handle_file

from .conftest import PATIENT, Served, assert_same_answer, breath, encode


@pytest.fixture(scope="module")
def client(served: Served) -> Client:
    return Client(f"{served.url}/ui/", verbose=False, analytics_enabled=False)


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    path = tmp_path / f"{PATIENT}.wav"
    path.write_bytes(encode(breath(11, 10_000), 10_000, "PCM_24"))
    return path


def test_page_needs_nothing_from_elsewhere(served: Served) -> None:
    response = httpx.get(served.url, follow_redirects=True)
    assert response.status_code == 200
    assert str(response.url) == f"{served.url}/ui/"
    loaded = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?://[^"]+)"', response.text)
    assert [address for address in loaded if not address.startswith(served.url)] == []


def test_quick_mode_answers_and_explains(served: Served, client: Client, sound: Path) -> None:
    card, picture, links, whole = client.predict(handle_file(sound), "", api_name="/quick")
    quick = served.offline[httpx.get(f"{served.url}/v1/models").json()["quick"]]
    expected = quick.predict(sound)
    assert_same_answer(whole["prediction"], expected.to_json())
    assert whole["explanation"]["class"] == expected.label
    assert expected.label in card
    assert "jr-overlay" in picture["value"]
    assert links["value"].count("download=") == 2
    assert PATIENT not in card + picture["value"] + links["value"] + str(whole)


def test_flexible_mode(served: Served, client: Client, sound: Path) -> None:
    card, *_, whole = client.predict(handle_file(sound), "binary", "logmel", "", api_name="/flexible")
    assert_same_answer(whole["prediction"], served.offline["binary-logmel"].predict(sound).to_json())
    assert "Normal or abnormal" in card


def test_compare_mode(served: Served, client: Client, sound: Path) -> None:
    card, *_, whole = client.predict(handle_file(sound), "", api_name="/compare")
    assert list(whole["predictions"]) == list(served.offline)
    for name, prediction in whole["predictions"].items():
        assert_same_answer(prediction, served.offline[name].predict(sound).to_json())
        assert f'data-model="{name}"' in card


@pytest.mark.parametrize("mode", ["quick", "compare"])
def test_bad_file_is_explained_in_the_page(client: Client, tmp_path: Path, mode: str) -> None:
    path = tmp_path / f"{PATIENT}.wav"
    path.write_bytes(b"this is text")
    card, picture, links, whole = client.predict(handle_file(path), "", api_name=f"/{mode}")
    assert whole["error"]["type"] == "UnreadableAudio"
    assert 'role="alert"' in card
    assert not picture["visible"]
    assert not links["visible"]


def test_no_file_and_an_impossible_age_are_explained_in_the_page(client: Client, sound: Path) -> None:
    card, *_, whole = client.predict(None, "", api_name="/quick")
    assert whole["error"]["type"] == "MissingAudio"
    assert 'role="alert"' in card
    *_, whole = client.predict(handle_file(sound), "forty", api_name="/quick")
    assert whole["error"]["type"] == "InvalidField"


def test_gradios_queue_polls_at_the_pace_that_is_set() -> None:
    """The page sets these two; were they to go by other names, an idle page would take 3 % of a core again."""
    assert "sleep_when_free" in Queue.start_processing.__code__.co_names
    assert "progress_update_sleep_when_free" in Queue.start_progress_updates.__code__.co_names
