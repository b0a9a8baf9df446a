"""A fuzzer over the decoder: whatever the bytes are, a Recording or a named error, in bounded time and memory."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from jaxresp.audio import DEFAULT_LIMITS, AudioError, Recording, read_audio

_KINDS = (
    ("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("WAV", "IMA_ADPCM"), ("WAV", "GSM610"),
    ("WAVEX", "PCM_16"), ("W64", "PCM_16"), ("RF64", "PCM_16"), ("AIFF", "PCM_16"), ("AU", "ULAW"), ("CAF", "ALAC_16"),
    ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("NIST", "PCM_16"),
    ("SVX", "PCM_16"), ("VOC", "PCM_16"), ("MAT5", "PCM_16"),
)  # fmt: skip
_RATE_HZ = 8_000  # every one of them allows it


def _containers() -> dict[str, bytes]:
    """A second of noise in every container that libsndfile writes here."""
    noise = 0.3 * np.random.default_rng(0).normal(size=_RATE_HZ).clip(-3, 3)
    found = {}
    for container, subtype in _KINDS:
        buffer = io.BytesIO()
        try:
            soundfile.write(buffer, noise, _RATE_HZ, subtype=subtype, format=container)
        except (soundfile.LibsndfileError, ValueError):  # this libsndfile was built without it
            continue
        found[f"{container} {subtype}"] = buffer.getvalue()
    return found


_CONTAINERS = _containers()
_HEADER_BYTES = 128  # where every byte means something


class Content(bytes):
    """Bytes that do not fill the screen when a test fails; `hypothesis` prints how to make them again."""

    def __repr__(self) -> str:
        return f"{len(self)} bytes, {self[:64].hex()}..."


@st.composite
def mutated(draw: st.DrawFn) -> Content:
    """A real sound file with bytes changed, taken out, repeated or put in, most of them in its header."""
    content = bytearray(_CONTAINERS[draw(st.sampled_from(sorted(_CONTAINERS)))])
    for _ in range(draw(st.integers(1, 6))):
        end = min(len(content), draw(st.sampled_from((_HEADER_BYTES, _HEADER_BYTES, 2**30))))
        at = draw(st.integers(0, max(end - 1, 0)))
        match draw(st.sampled_from(("byte", "word", "cut", "end", "repeat", "insert"))):
            case "byte":
                content[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case "word":
                value = draw(st.sampled_from((0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0xFFFF, 384_000)))
                content[at : at + 4] = value.to_bytes(4, draw(st.sampled_from(("little", "big"))))
            case "cut":
                del content[at : at + draw(st.integers(1, 64))]
            case "end":
                del content[at:]
            case "repeat":
                content[at:at] = content[at : at + draw(st.integers(1, 256))]
            case "insert":
                content[at:at] = draw(st.binary(max_size=16))
    return Content(content)


def _reads_or_refuses(content: bytes) -> None:
    try:
        recording = read_audio(content)
    except AudioError as error:
        assert str(error).startswith("the upload: ")
        return
    facts, limits = recording.facts, DEFAULT_LIMITS
    assert isinstance(recording, Recording)
    assert limits.min_duration_s <= facts.duration_s <= limits.max_duration_s
    assert limits.min_rate_hz <= facts.native_rate_hz <= limits.max_rate_hz
    assert 1 <= facts.channels <= limits.max_channels
    assert recording.samples.dtype == np.int16
    assert np.abs(recording.samples.astype(int)).max() == 32767, "the loudest sample uses the full range"
    assert all(np.isfinite(value) for value in facts.to_json().values() if not isinstance(value, str))


def test_the_fuzzer_starts_from_sounds_that_can_be_read() -> None:
    assert len(_CONTAINERS) > 12, _CONTAINERS.keys()
    assert {kind.split()[0] for kind in _CONTAINERS} >= {"WAV", "FLAC", "OGG", "MP3"}
    for kind, content in _CONTAINERS.items():
        assert read_audio(content).facts.duration_s == pytest.approx(1, abs=0.1), kind


def _fuzz(n: int) -> Callable[[Callable[[bytes], None]], Callable[[], None]]:
    # An example may take seconds: a header can claim ten minutes at 192 kHz that are really there. It is never killed
    # by a deadline; that it ends is bounded by the limits, and by pytest's user.
    return settings(max_examples=n, deadline=None, suppress_health_check=list(HealthCheck))


@_fuzz(150)
@given(mutated())
def test_mutated_files_are_read_or_refused_by_name(content: bytes) -> None:
    _reads_or_refuses(content)


@_fuzz(80)
@given(st.sampled_from((b"", b"RIFF", b"fLaC", b"OggS", b"ID3", b"\xff\xfb", b"FORM", b"caff", b".snd")), st.binary())
@example(b"", b"")
def test_random_bytes_are_refused_by_name(magic: bytes, content: bytes) -> None:
    with pytest.raises(AudioError):
        read_audio(magic + content)


@pytest.mark.slow
@_fuzz(6_000)
@given(mutated())
def test_many_mutated_files_are_read_or_refused_by_name(content: bytes) -> None:
    _reads_or_refuses(content)
