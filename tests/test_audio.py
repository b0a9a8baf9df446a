"""Laws of reading sound: one grid, one level, facts that are true, and a named error for everything else."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jaxresp import audio
from jaxresp.audio import AudioError, AudioLimits, from_samples, read_audio

RATE_HZ = 16_000
NOISE = (0.1 * np.random.default_rng(0).standard_normal(3 * 44_100)).astype(np.float32)


def tone(rate_hz: int, duration_s: float = 2.0, frequency_hz: float = 440.0, amplitude: float = 0.5) -> np.ndarray:
    t = np.arange(round(duration_s * rate_hz)) / rate_hz
    return (amplitude * np.sin(2 * np.pi * frequency_hz * t)).astype(np.float32)


def encoded(samples: np.ndarray, rate_hz: int = 44_100, kind: str = "WAV", subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format=kind, subtype=subtype)
    return file.getvalue()


def wav_with_data_size(size: int) -> bytes:
    content = bytearray(encoded(NOISE))
    at = content.find(b"data") + 4
    content[at : at + 4] = size.to_bytes(4, "little")
    content[4:8] = size.to_bytes(4, "little")
    return bytes(content)


def flac_with_frames(count: int) -> bytes:
    content = bytearray(encoded(NOISE, kind="FLAC"))
    content[21] = content[21] & 0xF0 | count >> 32
    content[22:26] = (count & 0xFFFF_FFFF).to_bytes(4, "big")
    return bytes(content)


def first_half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def damaged(content: bytes) -> bytes:
    at = len(content) // 3
    return content[:at] + np.random.default_rng(1).bytes(3000) + content[at + 3000 :]


def with_one(value: float) -> np.ndarray:
    samples = NOISE.copy()
    samples[70_000] = value
    return samples


# Every encoding reads as the same sound


@pytest.mark.parametrize(
    ("kind", "subtype", "tolerance"),
    [
        ("WAV", "PCM_U8", 1e-2),
        ("WAV", "PCM_16", 1e-4),
        ("WAV", "PCM_24", 1e-4),
        ("WAV", "PCM_32", 1e-4),
        ("WAV", "FLOAT", 1e-4),
        ("WAV", "DOUBLE", 1e-4),
        ("WAVEX", "PCM_24", 1e-4),
        ("FLAC", "PCM_16", 1e-4),
        ("FLAC", "PCM_24", 1e-4),
        ("AIFF", "PCM_16", 1e-4),
        ("OGG", "VORBIS", 2e-2),
        ("MP3", "MPEG_LAYER_III", 2e-2),
    ],
)
@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
def test_every_encoding_holds_the_same_sound(kind: str, subtype: str, tolerance: float, rate_hz: int) -> None:
    recording = read_audio(encoded(tone(rate_hz), rate_hz, kind, subtype))
    assert recording.facts.subtype == subtype
    assert recording.facts.native_rate_hz == rate_hz
    assert recording.facts.duration_s == pytest.approx(2.0)
    middle = slice(2_000, 30_000)  # away from what resampling and lossy codecs do at the ends
    np.testing.assert_allclose(recording.waveform[middle], tone(RATE_HZ)[middle], atol=tolerance)


@pytest.mark.parametrize("native_rate_hz", [4_000, 8_000, 10_000, 11_025, 44_100, 48_000, 192_000])
def test_every_rate_lands_on_one_grid(native_rate_hz: int) -> None:
    recording = from_samples(tone(native_rate_hz), native_rate_hz)
    assert recording.rate_hz == RATE_HZ
    assert recording.samples.shape == (2 * RATE_HZ,)
    middle = slice(2_000, 30_000)
    np.testing.assert_allclose(recording.waveform[middle], tone(RATE_HZ)[middle], atol=2e-4)


def test_resampling_keeps_nothing_above_the_new_nyquist_frequency() -> None:
    loud_and_high = tone(44_100, frequency_hz=9_500.0) + tone(44_100, frequency_hz=300.0, amplitude=0.05)
    spectrum = np.abs(np.fft.rfft(from_samples(loud_and_high, 44_100).waveform[4_000:28_000] * np.hanning(24_000)))
    aliased = round(6_500 * 24_000 / RATE_HZ)
    assert spectrum[aliased - 20 : aliased + 20].max() < 1e-3 * spectrum.max()


def test_a_path_bytes_and_an_open_file_are_one_sound_whatever_the_name(tmp_path: Path) -> None:
    content = encoded(NOISE)
    path = tmp_path / "breath.raw"  # a name from which soundfile would guess "headerless"
    path.write_bytes(content)
    with path.open("rb") as file:
        recordings = [read_audio(path), read_audio(str(path)), read_audio(content), read_audio(file)]
    for recording in recordings:
        np.testing.assert_array_equal(recording.samples, recordings[0].samples)
        assert (recording.scale, recording.facts) == (recordings[0].scale, recordings[0].facts)


def test_samples_and_a_float_file_are_one_sound() -> None:
    samples = np.stack([NOISE, tone(44_100, 3.0)], axis=1)
    a, b = from_samples(samples, 44_100), read_audio(encoded(samples, subtype="FLOAT"))
    np.testing.assert_array_equal(a.samples, b.samples)
    assert (a.scale, a.facts) == (b.scale, b.facts)


def test_mono_is_the_mean_of_the_channels() -> None:
    left, right = tone(RATE_HZ), tone(RATE_HZ, frequency_hz=700.0)
    recording = from_samples(np.stack([left, right], axis=1), RATE_HZ)
    assert recording.facts.channels == 2
    np.testing.assert_allclose(recording.waveform, (left + right) / 2, atol=recording.scale)


# int16 × scale


@pytest.mark.parametrize("gain", [1e-4, 0.03, 1.0, 40.0])
def test_the_scale_takes_up_the_gain_and_the_samples_use_the_whole_range(gain: float) -> None:
    recording = from_samples(np.float32(gain) * NOISE, RATE_HZ)
    assert recording.samples.dtype == np.int16
    assert np.abs(recording.samples.astype(int)).max() == 32_767
    assert float(np.float32(recording.scale)) == recording.scale
    assert recording.waveform.dtype == np.float32
    np.testing.assert_allclose(recording.waveform, gain * NOISE, atol=0.51 * recording.scale)


# Facts


def test_level_facts_of_a_sine() -> None:
    facts = from_samples(tone(44_100, amplitude=0.5) + np.float32(0.1), 44_100).facts
    assert facts.peak_dbfs == pytest.approx(20 * np.log10(0.6), abs=0.05)
    assert facts.rms_dbfs == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.05)  # the offset is not loudness
    assert facts.clipped_fraction == 0.0


def test_clipping_counts_flat_tops_and_not_loud_peaks() -> None:
    overdriven = tone(44_100, amplitude=2.0)
    clipped = read_audio(encoded(np.clip(overdriven, -1, 1))).facts.clipped_fraction
    assert clipped == pytest.approx(np.mean(np.abs(overdriven) >= 1), abs=0.02)
    assert read_audio(encoded(tone(44_100, amplitude=1.0))).facts.clipped_fraction < 0.01


@pytest.mark.parametrize("true_rate_hz", [4_000, 10_000, 44_100])
def test_bandwidth_is_that_of_the_sound_and_not_of_the_file(true_rate_hz: int) -> None:
    recorded = NOISE[: 3 * true_rate_hz]
    stored = from_samples(recorded, true_rate_hz, rate_hz=44_100).waveform
    bandwidth_hz = from_samples(stored, 44_100).facts.bandwidth_hz
    assert 0.85 * true_rate_hz / 2 < bandwidth_hz < 1.1 * true_rate_hz / 2


@pytest.mark.parametrize("content", [encoded(NOISE), encoded(np.eye(1, 16_000, 8_000)[0], 16_000, subtype="FLOAT")])
def test_facts_are_json(content: bytes) -> None:
    facts = read_audio(content).facts
    assert json.loads(json.dumps(facts.to_json(), allow_nan=False)) == facts.to_json()


# Everything else is a named error that names the sound

BAD: dict[str, tuple[Callable[[], bytes], type[AudioError]]] = {
    "no bytes": (lambda: b"", audio.EmptyAudio),
    "a header and no samples": (lambda: encoded(NOISE[:0]), audio.EmptyAudio),
    "text": (lambda: b"not a sound\n" * 100, audio.UnreadableAudio),
    "four bytes": (lambda: b"RIFF", audio.UnreadableAudio),
    "random bytes": (lambda: np.random.default_rng(2).bytes(30_000), audio.UnreadableAudio),
    "an empty id3 tag": (lambda: b"ID3\x03\0\0\0\0\0\0" + bytes(5_000), audio.UnreadableAudio),
    "an mp3 frame, then noise": (
        lambda: b"\xff\xfb\x90\x00" + np.random.default_rng(3).bytes(9_000),
        audio.UnreadableAudio,
    ),
    "damaged flac": (lambda: damaged(encoded(NOISE, kind="FLAC")), audio.UnreadableAudio),
    "damaged mp3": (lambda: damaged(encoded(NOISE, kind="MP3")), audio.UnreadableAudio),
    **{
        f"truncated {kind}": (lambda kind=kind: first_half(encoded(NOISE, kind=kind)), audio.UnreadableAudio)
        for kind in ("WAV", "FLAC", "OGG", "MP3", "AIFF", "W64")
    },
    "a flac that claims 18 days": (lambda: flac_with_frames((1 << 36) - 1), audio.AudioTooLong),
    "a flac that claims twice its length": (lambda: flac_with_frames(2 * len(NOISE)), audio.UnreadableAudio),
    "a flac of unknown length, damaged": (lambda: damaged(flac_with_frames(0)), audio.UnreadableAudio),
    "NaN": (lambda: encoded(with_one(np.nan), subtype="FLOAT"), audio.NonFiniteAudio),
    "infinity": (lambda: encoded(with_one(np.inf), subtype="DOUBLE"), audio.NonFiniteAudio),
    "a double beyond float32": (lambda: encoded(with_one(1.0).astype(float) * 1e300, subtype="DOUBLE"),
                                audio.NonFiniteAudio),
    "silence": (lambda: encoded(0 * NOISE), audio.SilentAudio),
    "a constant": (lambda: encoded(0 * NOISE + 0.5), audio.SilentAudio),
    "channels that cancel": (lambda: encoded(np.stack([NOISE, -NOISE], axis=1)), audio.SilentAudio),
    "a fifth of a second": (lambda: encoded(NOISE[:9_000]), audio.AudioTooShort),
    "eleven minutes": (lambda: encoded(np.tile(NOISE, 5), 1_000), audio.AudioTooLong),
    "as many values as three hours of silence": (lambda: encoded(np.zeros((8_000_000, 8)), 192_000, kind="FLAC"),
                                                 audio.AudioTooLong),
    "1 Hz": (lambda: encoded(NOISE, 1), audio.UnsupportedAudio),
    "384 kHz": (lambda: encoded(NOISE, 384_000), audio.UnsupportedAudio),
    "64 channels": (lambda: encoded(np.tile(NOISE[:, None], 64)), audio.UnsupportedAudio),
    "500 Hz": (lambda: encoded(NOISE, 500), audio.UnsupportedAudio),
    "nine channels": (lambda: encoded(np.tile(NOISE[:, None], 9)), audio.UnsupportedAudio),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_used_is_named_quietly(what: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make, error = BAD[what]
    path = tmp_path / "visit_7.wav"
    path.write_bytes(make())
    with pytest.raises(error, match=r"^visit_7\.wav: .*(;|so) ") as from_path:
        read_audio(path)
    with pytest.raises(error, match=r"^the upload: ") as from_bytes:
        read_audio(path.read_bytes())
    assert type(from_path.value) is type(from_bytes.value) is error
    assert capfd.readouterr().err == ""  # libsndfile's mp3 decoder likes to talk


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.wav", tmp_path):
        with pytest.raises(audio.UnreadableAudio, match=path.name):
            read_audio(path)


def test_a_stream_of_unknown_length_is_read_to_its_end_and_no_further_than_the_limit() -> None:
    wav, flac = encoded(NOISE), encoded(NOISE, kind="FLAC")
    for content, stream in (
        (wav, wav_with_data_size(0xFFFF_FFFF)),
        (wav, wav_with_data_size(0x7FFF_FFFF)),
        (flac, flac_with_frames(0)),
    ):
        np.testing.assert_array_equal(read_audio(stream).samples, read_audio(content).samples)
        with pytest.raises(audio.AudioTooLong):
            read_audio(stream, limits=AudioLimits(max_duration_s=2.9))


def test_the_header_is_checked_before_anything_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: object, **__: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(soundfile.SoundFile, "read", read)
    early = ("a flac that claims 18 days", "eleven minutes", "1 Hz", "384 kHz", "64 channels", "a fifth of a second")
    for what in (*early, "as many values as three hours of silence"):
        make, error = BAD[what]
        with pytest.raises(error):
            read_audio(make())


def test_no_more_than_the_limit_is_decoded_whatever_the_header_says(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []

    class Lying(audio._ForwardOnly):
        frames = 44_100  # of an hour's worth

        def read(self, frames: int = -1, *args: object, **kwargs: object) -> np.ndarray:
            decoded.append(frames)
            return np.tile(NOISE[:frames, None], (1, self.channels))

    monkeypatch.setattr(audio, "_ForwardOnly", Lying)
    with pytest.raises(audio.AudioTooLong):
        read_audio(encoded(NOISE), limits=AudioLimits(max_duration_s=10.0))
    assert min(decoded) > 0
    assert sum(decoded) < 10 * 44_100 + 2 * max(decoded)
    decoded.clear()
    with pytest.raises(audio.AudioTooLong):
        read_audio(encoded(NOISE), limits=AudioLimits(max_values=5 * 44_100))
    assert sum(decoded) < 5 * 44_100 + 2 * max(decoded)


def test_limits_include_their_ends() -> None:
    limits = AudioLimits(min_duration_s=1.0, max_duration_s=1.0, min_rate_hz=44_100, max_rate_hz=44_100, max_channels=1)
    assert read_audio(encoded(NOISE[:44_100]), limits=limits).facts.duration_s == 1.0
    with pytest.raises(audio.AudioTooLong):
        read_audio(encoded(NOISE[:44_101]), limits=limits)
    with pytest.raises(audio.AudioTooShort):
        read_audio(encoded(NOISE[:44_099]), limits=limits)


def test_what_others_say_on_stderr_is_passed_on(capfd: pytest.CaptureFixture[str]) -> None:
    with audio._quiet_mpg123():
        os.write(2, b"Note: Trying to resync...\n[src/libmpg123/parse.c:1] error: no\nsomething that matters\n")
    assert capfd.readouterr().err == "something that matters\n"


def test_real_recordings_are_read(real_data: Path) -> None:
    recordings = [read_audio(path) for path in sorted((real_data / "icbhi").rglob("*.wav"))]
    assert {r.facts.native_rate_hz for r in recordings} == {4_000, 10_000, 44_100}
    assert {r.facts.subtype for r in recordings} == {"PCM_16", "PCM_24"}
    for r in recordings:
        assert len(r.samples) == pytest.approx(r.facts.duration_s * RATE_HZ, abs=2)
        assert r.facts.bandwidth_hz <= r.facts.native_rate_hz / 2
