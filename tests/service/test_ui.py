"""The page: it is there, both modes answer, and its uploads lose their names."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
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


def test_quick_mode(served: Served, client: Client, sound: Path) -> None:
    card, picture, answer = client.predict(handle_file(sound), api_name="/quick")
    quick = served.offline[httpx.get(f"{served.url}/v1/models").json()["quick"]]
    assert_same_answer(answer, quick.predict(sound).to_json())
    assert answer["label"] in card
    assert "data:image/png" in picture["value"]
    assert PATIENT not in card + picture["value"] + str(answer)


def test_flexible_mode(served: Served, client: Client, sound: Path) -> None:
    card, _, answer = client.predict(handle_file(sound), "binary", "logmel", api_name="/flexible")
    assert_same_answer(answer, served.offline["binary-logmel"].predict(sound).to_json())
    assert "Normal or abnormal" in card


def test_bad_file_is_explained_in_the_page(client: Client, tmp_path: Path) -> None:
    path = tmp_path / f"{PATIENT}.wav"
    path.write_bytes(b"this is text")
    card, picture, answer = client.predict(handle_file(path), api_name="/quick")
    assert answer["error"]["type"] == "UnreadableAudio"
    assert 'role="alert"' in card
    assert not picture["visible"]


def test_no_file_is_explained_in_the_page(client: Client) -> None:
    card, _, answer = client.predict(None, api_name="/quick")
    assert answer["error"]["type"] == "MissingAudio"
    assert 'role="alert"' in card
