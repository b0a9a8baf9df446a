"""Sound files → mono int16 on one 16 kHz grid, with facts about what was heard. The only reader of sound.

The dataset builder, training, the command line and the service all come through here, so that a served waveform is
the very waveform a network was trained on: same decoder (libsndfile), same resampler (soxr), same int16 × scale.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import tempfile
import threading
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from io import BytesIO, FileIO
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import soundfile
import soxr
from jaxtyping import Float, Float32, Int16

from jaxresp.errors import JaxrespError

RATE_HZ = 16_000
"""The grid of every waveform: 8 kHz of bandwidth holds all lung sounds and is what the original project used."""

_BLOCK_FRAMES = 1 << 16  # frames decoded at a time: memory does not grow with what a header claims
_SILENT_PEAK = 1e-7  # -140 dBFS: below a 24-bit converter's last bit, so nothing was connected
_ABSURD_PEAK = 1e6  # 120 dB above full scale: no float file means that
_UNKNOWN_BYTES = 0x7FFF_0000  # streaming writers put a size from here up to 2^32 - 1 for "not known yet"
_UNKNOWN_FRAMES = 1 << 62  # libsndfile's count for a FLAC stream that does not say how long it is
_TRUNCATION_BYTES = 1024  # fewer missing bytes than this are padding mistakes, not lost sound
_SPECTRUM_FFT = 4096
_BANDWIDTH_DROP_DB = 60.0


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
    """

    min_duration_s: float = 0.5
    max_duration_s: float = 600.0
    min_rate_hz: int = 1_000
    max_rate_hz: int = 192_000
    max_channels: int = 8


DEFAULT_LIMITS = AudioLimits()


@dataclass(frozen=True)
class AudioFacts:
    """What was heard, measured at the native rate before resampling.

    Attributes:
        duration_s: seconds that were decoded.
        native_rate_hz: the file's sampling rate.
        channels: channels in the file; the waveform is their mean.
        subtype: libsndfile's name of the encoding, for example "PCM_24"; "FLOAT" for samples given as an array.
        peak_dbfs: largest magnitude in any channel, dB re full scale.
        rms_dbfs: root mean square of the mono sound about its mean, dB re full scale.
        clipped_fraction: share of samples in flat tops: three or more equal neighbours at 99 % of full scale or above.
        bandwidth_hz: highest frequency at which the mean power density of the mono sound, in bands of about 50 Hz, lies
            within 60 dB of its largest density above 20 Hz. A recording made at 4 kHz and stored at 44.1 kHz reads
            2 kHz or less.
    """

    duration_s: float
    native_rate_hz: int
    channels: int
    subtype: str
    peak_dbfs: float
    rms_dbfs: float
    clipped_fraction: float
    bandwidth_hz: float

    def to_json(self) -> dict[str, Any]:
        """A dictionary of JSON types; every number in it is finite."""
        return asdict(self)


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
    rate_hz: int = RATE_HZ,
    limits: AudioLimits = DEFAULT_LIMITS,
    name: str | None = None,
) -> Recording:
    """Read wav, flac, ogg, mp3 or anything else libsndfile decodes, from a path, bytes or an open binary file.

    Args:
        source: where the sound is. What it is called does not matter: the content says what it is.
        rate_hz: the grid to put it on.
        limits: checked against the header before decoding; no more than the limit is ever decoded.
        name: what messages call the sound; the file's name, or "the upload", unless given.

    Raises:
        UnreadableAudio, EmptyAudio, SilentAudio, NonFiniteAudio, AudioTooShort, AudioTooLong, UnsupportedAudio:
            each names the sound and says what to do.
    """
    with contextlib.ExitStack() as stack:
        stream: BytesIO | FileIO
        if isinstance(source, str | Path):
            name = name or Path(source).name
            try:
                stream = stack.enter_context(open(source, "rb", buffering=0))  # libsndfile takes over the descriptor
            except OSError as error:
                raise UnreadableAudio(
                    f"{name}: cannot be opened ({error.strerror}); check the path and its permissions"
                ) from error
        elif isinstance(source, bytes):
            stream = BytesIO(source)
        else:
            stream = BytesIO(source.read())  # an upload may be a pipe, and libsndfile seeks
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


class _ForwardOnly(soundfile.SoundFile):
    """A SoundFile that is read from front to end.

    soundfile seeks to where it already is after every block. That breaks an MP3 (the decoder starts anew, with a click)
    and fails on a FLAC stream that does not say how long it is.
    """

    def seekable(self) -> bool:
        return False


def _decode(stream: BytesIO | FileIO, rate_hz: int, limits: AudioLimits, name: str) -> Recording:
    head = stream.read(4)
    stream.seek(0)
    if not head:
        raise EmptyAudio(f"{name}: the file is empty (0 bytes); record or upload it again")
    # A real file goes in as a descriptor, so that soundfile cannot guess a format from its name (".raw").
    source = stream if isinstance(stream, BytesIO) else stream.fileno()
    may_be_mpeg = head not in (b"RIFF", b"RIFX", b"RF64", b"fLaC", b"OggS", b"FORM", b"caff", b"riff")
    with _quiet_mpg123() if may_be_mpeg else contextlib.nullcontext():
        try:
            with _ForwardOnly(source, closefd=False) as file:
                _check_header(file.frames, file.samplerate, file.channels, limits, name)
                _check_whole(file.extra_info, name)
                blocks = _blocks(file, limits, name)
                return _record(blocks, file.samplerate, file.channels, file.subtype, rate_hz, limits, name)
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
    if _UNKNOWN_FRAMES > n_frames > limits.max_duration_s * rate_hz:
        raise AudioTooLong(_too_long(f"{n_frames / rate_hz:.0f} s long by its header", limits, name))


def _too_long(what: str, limits: AudioLimits, name: str) -> str:
    return f"{name}: {what}; cut it to {limits.max_duration_s:g} s or less"


def _check_whole(libsndfile_log: str, name: str) -> None:
    """libsndfile shortens a truncated file without a word; its log knows."""
    sizes = [(int(a), int(b)) for a, b in re.findall(r":\s*(\d+) \(should be (\d+)\)", libsndfile_log)]
    missing = max((stated - found for stated, found in sizes if stated < _UNKNOWN_BYTES), default=0)
    if missing > _TRUNCATION_BYTES or "lacks an end-of-stream bit" in libsndfile_log:
        raise UnreadableAudio(f"{name}: truncated: it ends before its header says; copy or upload it again, whole")


def _blocks(file: _ForwardOnly, limits: AudioLimits, name: str) -> Iterator[Float32[np.ndarray, "frames channels"]]:
    """Decode block by block; stop at the limit whatever the header said, and complain about a short file."""
    total, most = 0, math.floor(limits.max_duration_s * file.samplerate)
    while len(block := file.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)):
        total += len(block)
        if total > most:
            raise AudioTooLong(_too_long(f"more than {limits.max_duration_s:g} s long", limits, name))
        yield block
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
    meter = _Meter(native_rate_hz, channels)
    stream = soxr.ResampleStream(native_rate_hz, rate_hz, 1, dtype="float32", quality="HQ")
    pieces = []
    for block in blocks:
        mono = block.mean(axis=1, dtype=np.float64)
        if not np.abs(block).max() <= _ABSURD_PEAK:  # also true of NaN
            raise NonFiniteAudio(
                f"{name}: samples that are NaN, infinite or absurdly large after "
                f"{meter.n_frames / native_rate_hz:.1f} s; export it again as 16- or 24-bit PCM"
            )
        meter.hear(block, mono)
        mono32 = mono.astype(np.float32)
        pieces.append(mono32 if native_rate_hz == rate_hz else stream.resample_chunk(mono32))
    if native_rate_hz != rate_hz:
        pieces.append(stream.resample_chunk(np.zeros(0, np.float32), last=True))
    _check_header(meter.n_frames, native_rate_hz, channels, limits, name)  # now by what was truly there
    if meter.is_silent:
        raise SilentAudio(
            f"{name}: silent: every sample is the same, or the channels cancel out; "
            "check that the sensor was connected and record again"
        )
    waveform = np.concatenate(pieces)
    peak = np.abs(waveform).max()
    if peak < _SILENT_PEAK:
        raise SilentAudio(f"{name}: silent in the band kept at {rate_hz} Hz; check the sensor and record again")
    scale = np.float32(peak / 32767)
    return Recording(np.rint(waveform / scale).astype(np.int16), float(scale), rate_hz, meter.facts(subtype))


class _Meter:
    """Hears a sound go by, block after block, and remembers a few numbers of it."""

    def __init__(self, rate_hz: int, channels: int) -> None:
        self.rate_hz, self.channels, self.n_frames = rate_hz, channels, 0
        self._low, self._high = np.full(channels, np.inf), np.full(channels, -np.inf)
        self._mono_low, self._mono_high = np.inf, -np.inf
        self._sum = self._sum_of_squares = 0.0
        self._clipped = 0
        self._n_fft = min(_SPECTRUM_FFT, 1 << int(math.log2(rate_hz / 4)))  # ≤ 250 ms, fits the shortest sound
        self._power = np.zeros(self._n_fft // 2 + 1)

    def hear(self, block: Float[np.ndarray, "frames channels"], mono: Float[np.ndarray, " frames"]) -> None:
        self.n_frames += len(block)
        self._low, self._high = np.minimum(self._low, block.min(0)), np.maximum(self._high, block.max(0))
        self._mono_low, self._mono_high = min(self._mono_low, mono.min()), max(self._mono_high, mono.max())
        self._sum += float(mono.sum())
        self._sum_of_squares += float(np.square(mono).sum())
        self._clipped += _n_flat_top(block)
        n_windows = len(mono) // self._n_fft
        frames = mono[: n_windows * self._n_fft].reshape(n_windows, self._n_fft)
        frames = (frames - frames.mean(axis=1, keepdims=True)) * np.hanning(self._n_fft)
        self._power += np.square(np.abs(np.fft.rfft(frames.astype(np.float32)))).sum(axis=0)

    @property
    def is_silent(self) -> bool:
        # A constant in every channel, or channels that cancel to rounding errors: either leaves a constant mean.
        rounding = 1e-4 * float(np.max(self._high - self._low))
        return bool(self._mono_high - self._mono_low <= max(_SILENT_PEAK, rounding))

    def facts(self, subtype: str) -> AudioFacts:
        mean = self._sum / self.n_frames
        rms = math.sqrt(max(self._sum_of_squares / self.n_frames - mean**2, 0.0))
        peak = float(max(-self._low.min(), self._high.max()))
        return AudioFacts(
            duration_s=self.n_frames / self.rate_hz,
            native_rate_hz=self.rate_hz,
            channels=self.channels,
            subtype=subtype,
            peak_dbfs=_dbfs(peak),
            rms_dbfs=_dbfs(rms),
            clipped_fraction=self._clipped / (self.n_frames * self.channels),
            bandwidth_hz=self._bandwidth_hz(),
        )

    def _bandwidth_hz(self) -> float:
        bin_hz = self.rate_hz / self._n_fft
        width = max(1, round(50.0 / bin_hz))
        first = math.ceil(20.0 / bin_hz)
        bands = self._power[first : first + (len(self._power) - first) // width * width].reshape(-1, width).mean(axis=1)
        heard = np.flatnonzero(bands > np.max(bands) * 10 ** (-_BANDWIDTH_DROP_DB / 10))
        return float(min((first + (heard[-1] + 1) * width) * bin_hz, self.rate_hz / 2)) if heard.size else 0.0


def _dbfs(amplitude: float) -> float:
    return round(20 * math.log10(max(amplitude, 1e-10)), 2)  # -200 dBFS for nothing: JSON has no infinity


def _n_flat_top(block: Float[np.ndarray, "frames channels"]) -> int:
    """Samples in runs of three or more equal ones at full scale."""
    flat = (block[1:] == block[:-1]) & (np.abs(block[1:]) >= 0.99)
    core = flat[1:] & flat[:-1]  # the middle of three equal samples
    member = np.zeros(block.shape, bool)
    for shift in range(3):
        member[shift : len(block) - 2 + shift] |= core
    return int(member.sum())


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
