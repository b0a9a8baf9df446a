"""Sound files → mono int16 on one 16 kHz grid, with facts about what was heard. The only reader of sound.

The dataset builder, training, the command line and the service all come through here, so that a served waveform is
the very waveform a network was trained on: same decoder (libsndfile), same resampler (soxr), same int16 × scale.
What is heard on the way is measured by audio_facts.py.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import tempfile
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO, FileIO
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import soundfile
import soxr
from jaxtyping import Float, Float32, Int16

from jaxresp.audio_facts import SILENT_PEAK, AudioFacts, Meter
from jaxresp.errors import JaxrespError

RATE_HZ = 16_000
"""The grid of every waveform: 8 kHz of bandwidth holds all lung sounds and is what the original project used."""

_RESAMPLER = (
    "HQ"  # soxr's 20 bits: ripple below 0.01 dB up to 91 % of the lower Nyquist, images and aliases below -120 dB
)
_BLOCK_FRAMES = 1 << 17  # frames decoded at a time: memory does not grow with what a header claims
_INT16_STEP = np.float32(2**-15)  # what libsndfile multiplies by, too: a power of two, so nothing is rounded
_ABSURD_PEAK = 1e6  # 120 dB above full scale: no float file means that
_UNKNOWN_BYTES = 0x7FFF_0000  # streaming writers put a size from here up to 2^32 - 1 for "not known yet"
_UNKNOWN_FRAMES = 1 << 62  # libsndfile's count for a FLAC stream that does not say how long it is
_TRUNCATION_BYTES = 1024  # fewer missing bytes than this are padding mistakes, not lost sound


class AudioError(JaxrespError):
    """A sound that cannot be used."""


class UnreadableAudio(AudioError):
    """Not a sound file that libsndfile knows, or a damaged or truncated one."""


class EmptyAudio(AudioError):
    """No bytes, or a header with no samples behind it."""


class SilentAudio(AudioError):
    """Every sample the same: a sensor that was not connected."""


class NonFiniteAudio(AudioError):
    """NaN, infinite or absurdly large samples."""


class AudioTooShort(AudioError):
    """Shorter than the limits allow."""


class AudioTooLong(AudioError):
    """Longer than the limits allow, by its header or by what it decodes to."""


class UnsupportedAudio(AudioError):
    """A sampling rate or a number of channels outside the limits."""


@dataclass(frozen=True)
class AudioLimits:
    """What is accepted. Duration, rate and channels are read from the header, before anything is decoded.

    Attributes:
        min_duration_s: seconds; half a second is less than any breath.
        max_duration_s: seconds; ten minutes is far beyond any auscultation and bounds the work of one request.
        min_rate_hz: Hz; under 1 kHz no adventitious sound is left.
        max_rate_hz: Hz; the highest rate of sound interfaces in use.
        max_channels: channels; multi-sensor vests record up to eight.
        max_values: samples times channels: ten minutes at 48 kHz in stereo, seconds of decoding. Silence compresses
            so well that a file of some hundred kilobytes can hold the longest, fastest and widest sound of all.
    """

    min_duration_s: float = 0.5
    max_duration_s: float = 600.0
    min_rate_hz: int = 1_000
    max_rate_hz: int = 192_000
    max_channels: int = 8
    max_values: int = 60_000_000


DEFAULT_LIMITS = AudioLimits()


@dataclass(frozen=True)
class Recording:
    """One sound, as the dataset stores it.

    Attributes:
        samples: int16 [time], using the full range of int16.
        scale: what one step of `samples` is worth, exactly representable in float32.
        rate_hz: samples per second.
        facts: what was heard.
    """

    samples: Int16[np.ndarray, " time"]
    scale: float
    rate_hz: int
    facts: AudioFacts

    @property
    def waveform(self) -> Float32[np.ndarray, " time"]:
        """Samples × scale, in float32 arithmetic, at the file's own level."""
        return self.samples.astype(np.float32) * np.float32(self.scale)


@runtime_checkable
class BinaryFile(Protocol):
    """Anything open for reading bytes: a file, an upload, a BytesIO."""

    def read(self, size: int = -1, /) -> bytes: ...


def read_audio(
    source: str | Path | bytes | BinaryFile,
    *,
    rate_hz: int | None = RATE_HZ,
    limits: AudioLimits = DEFAULT_LIMITS,
    name: str | None = None,
) -> Recording:
    """Read wav, flac, ogg, mp3 or anything else libsndfile decodes, from a path, bytes or an open binary file.

    Args:
        source: where the sound is. What it is called does not matter: the content says what it is.
        rate_hz: the grid to put it on; None leaves it at the file's own rate.
        limits: checked against the header before decoding; no more than the limit is ever decoded.
        name: what messages call the sound; the file's name, or "the upload", unless given.

    Raises:
        UnreadableAudio, EmptyAudio, SilentAudio, NonFiniteAudio, AudioTooShort, AudioTooLong, UnsupportedAudio:
            each names the sound and says what to do.
    """
    with contextlib.ExitStack() as stack:
        stream: _Bytes | FileIO
        if isinstance(source, str | Path):
            name = name or Path(source).name
            try:
                stream = stack.enter_context(open(source, "rb", buffering=0))  # libsndfile takes over the descriptor
            except OSError as error:
                raise UnreadableAudio(
                    f"{name}: cannot be opened ({error.strerror}); check the path and its permissions"
                ) from error
        elif isinstance(source, bytes):
            stream = _Bytes(source)
        else:
            stream = _Bytes(source.read())  # an upload may be a pipe, and libsndfile seeks
        return _decode(stream, rate_hz, limits, name or "the upload")


def from_samples(
    samples: Float[np.ndarray, " time"] | Float[np.ndarray, "time channels"],
    native_rate_hz: int,
    *,
    rate_hz: int = RATE_HZ,
    limits: AudioLimits = DEFAULT_LIMITS,
    name: str = "the samples",
    subtype: str = "FLOAT",
) -> Recording:
    """Samples in ±1 at their native rate → Recording, by the same road as a file.

    Raises:
        AudioError: as `read_audio` does.
    """
    frames = samples[:, None] if samples.ndim == 1 else samples
    _check_header(len(frames), native_rate_hz, frames.shape[1], limits, name)
    blocks = (frames[i : i + _BLOCK_FRAMES] for i in range(0, len(frames), _BLOCK_FRAMES))
    return _record(blocks, native_rate_hz, frames.shape[1], subtype, rate_hz, limits, name)


class _Bytes(BytesIO):
    """A BytesIO that a damaged header may send to before its beginning.

    libsndfile seeks through a callback, where an exception would be printed by cffi and end nowhere.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._size = len(content)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self.tell(), os.SEEK_END: self._size}[whence]
        return super().seek(max(base + offset, 0))


class _ForwardOnly(soundfile.SoundFile):
    """A SoundFile that is read from front to end.

    soundfile seeks to where it already is after every block. That breaks an MP3 (the decoder starts anew, with a click)
    and fails on a FLAC stream that does not say how long it is.
    """

    def seekable(self) -> bool:
        return False


def _decode(stream: _Bytes | FileIO, rate_hz: int | None, limits: AudioLimits, name: str) -> Recording:
    head = stream.read(4)
    stream.seek(0)
    if not head:
        raise EmptyAudio(f"{name}: the file is empty (0 bytes); record or upload it again")
    # A real file goes in as a descriptor, so that soundfile cannot guess a format from its name (".raw").
    source = stream if isinstance(stream, _Bytes) else stream.fileno()
    may_be_mpeg = head not in (b"RIFF", b"RIFX", b"RF64", b"fLaC", b"OggS", b"FORM", b"caff", b"riff")
    with _quiet_mpg123() if may_be_mpeg else contextlib.nullcontext():
        try:
            with _ForwardOnly(source, closefd=False) as file:
                _check_header(file.frames, file.samplerate, file.channels, limits, name)
                _check_whole(file.extra_info, name)
                blocks = _blocks(file, limits, name)
                return _record(
                    blocks, file.samplerate, file.channels, file.subtype, rate_hz or file.samplerate, limits, name
                )
        except soundfile.SoundFileError as error:
            reason = getattr(error, "error_string", str(error)).strip().rstrip(".")
            raise UnreadableAudio(
                f"{name}: not a sound file, or a damaged one ({reason}); "
                "export it again as wav, flac, ogg or mp3 and check that it plays"
            ) from error


def _check_header(n_frames: int, rate_hz: int, channels: int, limits: AudioLimits, name: str) -> None:
    if not limits.min_rate_hz <= rate_hz <= limits.max_rate_hz:
        raise UnsupportedAudio(
            f"{name}: a sampling rate of {rate_hz} Hz; resample it to between "
            f"{limits.min_rate_hz} and {limits.max_rate_hz} Hz"
        )
    if not 1 <= channels <= limits.max_channels:
        raise UnsupportedAudio(f"{name}: {channels} channels; mix it down to {limits.max_channels} or fewer")
    if n_frames <= 0:
        raise EmptyAudio(f"{name}: a header but no samples; record or export it again")
    if n_frames < limits.min_duration_s * rate_hz:
        raise AudioTooShort(
            f"{name}: {n_frames / rate_hz:.3f} s long; at least {limits.min_duration_s:g} s are needed, "
            "so record a whole breath"
        )
    if _UNKNOWN_FRAMES > n_frames > _most_frames(rate_hz, channels, limits):
        raise _too_long(f"{n_frames / rate_hz:.0f} s long by its header", rate_hz, channels, limits, name)


def _most_frames(rate_hz: int, channels: int, limits: AudioLimits) -> int:
    return min(math.floor(limits.max_duration_s * rate_hz), limits.max_values // channels)


def _too_long(what: str, rate_hz: int, channels: int, limits: AudioLimits, name: str) -> AudioTooLong:
    most_s = _most_frames(rate_hz, channels, limits) / rate_hz
    remedy = f"cut it to {most_s:.0f} s or less"
    if most_s < math.floor(limits.max_duration_s):
        remedy += f", or mix it down: {channels} channels at {rate_hz} Hz are more than a breath needs"
    return AudioTooLong(f"{name}: {what}; {remedy}")


def _check_whole(libsndfile_log: str, name: str) -> None:
    """libsndfile shortens a truncated file without a word; its log knows."""
    sizes = [(int(a), int(b)) for a, b in re.findall(r":\s*(\d+) \(should be (\d+)\)", libsndfile_log)]
    missing = max((stated - found for stated, found in sizes if stated < _UNKNOWN_BYTES), default=0)
    if missing > _TRUNCATION_BYTES or "lacks an end-of-stream bit" in libsndfile_log:
        raise UnreadableAudio(f"{name}: truncated: it ends before its header says; copy or upload it again, whole")


def _blocks(file: _ForwardOnly, limits: AudioLimits, name: str) -> Iterator[Float32[np.ndarray, "frames channels"]]:
    """Decode block by block; stop at the limit whatever the header said, and complain about a short file."""
    total, most = 0, _most_frames(file.samplerate, file.channels, limits)
    # libsndfile hands 16-bit samples over as they are twenty times as fast as it makes floats of them.
    dtype = "int16" if file.subtype == "PCM_16" else "float32"
    while len(block := file.read(_BLOCK_FRAMES, dtype=dtype, always_2d=True)):
        total += len(block)
        if total > most:
            what = f"more than {most / file.samplerate:.0f} s long"
            raise _too_long(what, file.samplerate, file.channels, limits, name)
        yield block * _INT16_STEP if dtype == "int16" else block
    if (
        total < 0.98 * file.frames < _UNKNOWN_FRAMES
    ):  # compressed formats estimate their length to within a frame or two
        raise UnreadableAudio(
            f"{name}: truncated or damaged: {total / file.samplerate:.2f} s could be decoded of "
            f"{file.frames / file.samplerate:.2f} s; copy or upload it again, whole"
        )


def _record(
    blocks: Iterable[Float[np.ndarray, "_ channels"]],
    native_rate_hz: int,
    channels: int,
    subtype: str,
    rate_hz: int,
    limits: AudioLimits,
    name: str,
) -> Recording:
    """Blocks of samples → mono, resampled, int16 × scale."""
    meter = Meter(native_rate_hz, channels)
    stream = soxr.ResampleStream(native_rate_hz, rate_hz, 1, dtype="float32", quality=_RESAMPLER)
    pieces = []
    for block in blocks:
        if not max(-block.min(), block.max()) <= _ABSURD_PEAK:  # also true of NaN
            raise NonFiniteAudio(
                f"{name}: samples that are NaN, infinite or absurdly large after "
                f"{meter.n_frames / native_rate_hz:.1f} s; export it again as 16- or 24-bit PCM"
            )
        # Of one channel, the mean is the channel, and many times faster to take.
        mono = block[:, 0] if channels == 1 else block.mean(axis=1, dtype=np.float64)
        mono = mono.astype(np.float32, copy=False)
        meter.hear(block, mono)
        pieces.append(mono if native_rate_hz == rate_hz else stream.resample_chunk(mono))
    if native_rate_hz != rate_hz:
        pieces.append(stream.resample_chunk(np.zeros(0, np.float32), last=True))
    _check_header(meter.n_frames, native_rate_hz, channels, limits, name)  # now by what was truly there
    if meter.is_silent:
        raise SilentAudio(
            f"{name}: silent: every sample is the same, or the channels cancel out; "
            "check that the sensor was connected and record again"
        )
    waveform = np.concatenate(pieces)
    peak = max(waveform.max(), -waveform.min())
    if peak < SILENT_PEAK:
        raise SilentAudio(f"{name}: silent in the band kept at {rate_hz} Hz; check the sensor and record again")
    scale = np.float32(peak / 32767)
    waveform /= scale
    return Recording(np.rint(waveform, out=waveform).astype(np.int16), float(scale), rate_hz, meter.facts(subtype))


_STDERR_LOCK = threading.Lock()


@contextlib.contextmanager
def _quiet_mpg123() -> Iterator[None]:
    """Drop what mpg123 prints on the process's stderr about damaged MP3s; pass on every other line.

    It writes from C, so only the descriptor can catch it; what other threads wrote meanwhile is written on afterwards.
    """
    with _STDERR_LOCK, tempfile.TemporaryFile() as caught:
        stderr = os.dup(2)
        try:
            os.dup2(caught.fileno(), 2)
            yield
        finally:
            os.dup2(stderr, 2)
            caught.seek(0)
            noise = re.compile(rb"\[src/libmpg123/|(Note|Warning): .*(MPEG|resync|Skipped|Hit end|Xing|seek|frame)")
            for line in caught.read().splitlines(keepends=True):
                if line.strip() and not noise.search(line):
                    os.write(stderr, line)
            os.close(stderr)
