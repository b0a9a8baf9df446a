"""Forms: what a client writes is what is read, and no bytes at all do anything but DamagedForm."""

from __future__ import annotations

import contextlib

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bento.multipart import DamagedForm, Part, boundary_of, parts_of

NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters='"\\%'), min_size=1, max_size=20)
DATA = st.binary(max_size=60) | st.sampled_from([b"\r\n", b"\r\n--x", b"--x--", b"\r\n--", b"\r\n\r\n", b"\n--b\r\n"])


def parsed(body: bytes, content_type: str) -> list[Part]:
    return list(parts_of(body, boundary_of(content_type)))


@given(
    files=st.lists(st.tuples(NAMES, DATA), max_size=4), texts=st.dictionaries(NAMES, st.text(max_size=20), max_size=3)
)
@example(files=[("a", b"")], texts={})
@example(files=[("a", b"\r\n--boundary")], texts={"a": ""})
def test_what_httpx_writes_is_read(files: list[tuple[str, bytes]], texts: dict[str, str]) -> None:
    if not files:
        return
    sent = [(name, ("file name.wav", data)) for name, data in files]
    request = httpx.Request("POST", "http://x", files=sent, data=texts)
    got = parsed(request.read(), request.headers["content-type"])
    expected = [Part(name, False, text.encode()) for name, text in texts.items()]
    assert got == expected + [Part(name, True, data) for name, data in files]


@given(body=st.binary(max_size=200), boundary=st.sampled_from(["x", "boundary", "-", "a" * 70]))
def test_any_bytes(body: bytes, boundary: str) -> None:
    with contextlib.suppress(DamagedForm):
        parsed(body, f"multipart/form-data; boundary={boundary}")


_WHOLE = b'--x\r\nContent-Disposition: form-data; name="audio"; filename="a"\r\n\r\nRIFF\r\n--x--\r\n'


@pytest.mark.parametrize("length", range(len(_WHOLE) - len("--\r\n")))
def test_a_form_cut_anywhere_is_damaged(length: int) -> None:
    with pytest.raises(DamagedForm):
        parsed(_WHOLE[:length], "multipart/form-data; boundary=x")


@pytest.mark.parametrize(
    "body",
    [
        _WHOLE.replace(b"Content-Disposition", b"X-Other"),
        _WHOLE.replace(b'name="audio"; ', b""),
        _WHOLE.replace(b"--x\r\n", b"--xy\r\n"),
        _WHOLE.replace(b'"a"', b'"' + b"a" * 20_000 + b'"'),
        _WHOLE.replace(b"Content-Disposition:", b"Content-Disposition"),
    ],
    ids=["no disposition", "no name", "another boundary", "endless header", "no header"],
)
def test_what_is_no_form(body: bytes) -> None:
    with pytest.raises(DamagedForm):
        parsed(body, "multipart/form-data; boundary=x")


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=", ""])
def test_no_boundary(content_type: str) -> None:
    with pytest.raises(DamagedForm):
        boundary_of(content_type)


def test_preamble_epilogue_and_padding_are_ignored() -> None:
    body = b"hello\r\n" + _WHOLE.replace(b"--x\r\n", b"--x \t\r\n") + b"the end"
    assert parsed(body, 'multipart/form-data; boundary="x"') == [Part("audio", True, b"RIFF")]
