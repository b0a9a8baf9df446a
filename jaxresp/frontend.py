"""Front ends: waveform [..., time] → features [..., frames, coefficients]. One contract, interchangeable.

Each is a frozen dataclass that is called: band-pass, level normalisation per window, features. Nothing in it is fitted
and nothing is random, so the same window gives the same features in training and in serving. (Normalisation by
training statistics is a step of its own.) A new one is a dataclass derived from `FrontEnd`, or from `MelFrontEnd`,
under `@register`: docs/extending.md shows it.
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, ClassVar, Literal, TypeVar, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Float64, Key

from jaxresp.bands import BANDS
from jaxresp.dsp import augment, filters, pieces, spectral
from jaxresp.dsp.augment import AugmentConfig
from jaxresp.dsp.mel import hz_to_mel, mel_filterbank, mel_to_hz
from jaxresp.errors import JaxrespError

Reference = Literal["level", "loudest"]


class UnknownFrontend(JaxrespError):
    """No front end has this name."""


class InvalidFrontend(JaxrespError):
    """A front end's setting that is unknown or makes no sense."""


@dataclass(frozen=True)
class FrontEnd(ABC):
    """What every front end shares: the grid, the band, and the level.

    A sample that is not finite makes all features of its own window NaN and touches no other window; audio.py refuses
    such files before they come here. Silence has finite features.

    Attributes:
        rate_hz: Hz; the grid audio.py puts every waveform on.
        band: the band-pass: a name of BANDS, two edges in Hz, or None for no filter.
        band_order: slope of each edge as in scipy.signal.butter; the original project's.
        pre_emphasis: share of the sample before that is taken off each sample, after the band-pass. Zero: it changes
            the level of each band by a constant, which standardisation takes away again.
    """

    name: ClassVar[str]
    network: ClassVar[str]
    augments: ClassVar[bool] = False

    rate_hz: int = 16_000
    band: str | tuple[float, float] | None = "wide"
    band_order: int = 10
    pre_emphasis: float = 0.0

    def __post_init__(self) -> None:
        self._check_whole("rate_hz", "band_order")
        if isinstance(self.band, str) and self.band not in BANDS:
            raise InvalidFrontend(
                f"front end {self.name!r}: there is no band {self.band!r}; choose from {', '.join(BANDS)}, "
                f"or give two edges in Hz.{_nearest(self.band, BANDS)}"
            )
        if self.band_hz is not None:
            try:
                filters.block_filter(*self.band_hz, self.band_order, self.rate_hz)
            except (filters.FilterError, TypeError) as error:
                raise InvalidFrontend(f"front end {self.name!r}: band {self.band}: {error}") from error
        if not 0 <= self.pre_emphasis < 1:
            raise InvalidFrontend(f"front end {self.name!r}: pre_emphasis is {self.pre_emphasis}; it lies in [0, 1)")

    def __call__(self, waveform: Float32[Array, "*batch time"]) -> Float32[Array, "*batch frames coefficients"]:
        """Waveform at `rate_hz` and any level → features, float32.

        Raises:
            SpectralError: when traced, a waveform too short for one frame.
        """
        return pieces.by_rows(lambda rows, at_once: self.features(self.level(rows)), waveform)

    def level(self, waveform: Float32[Array, "*batch time"]) -> Float32[Array, "*batch time"]:
        """The band-passed waveform at root mean square one; silence stays silent."""
        waveform = filters.remove_dc(_over(waveform, jnp.abs(waveform).max(axis=-1, keepdims=True)))
        if self.band_hz is not None:
            low_hz, high_hz = self.band_hz
            waveform = filters.bandpass(
                waveform, low_hz=low_hz, high_hz=high_hz, order=self.band_order, rate_hz=self.rate_hz
            )
        if self.pre_emphasis:
            waveform = filters.pre_emphasis(waveform, self.pre_emphasis)
        power = jnp.mean(jnp.square(waveform), axis=-1, keepdims=True)
        return waveform * jnp.where(power > 0, jax.lax.rsqrt(jnp.where(power > 0, power, 1.0)), 0.0)

    @property
    def band_hz(self) -> tuple[float, float] | None:
        """Edges of the band-pass in Hz."""
        return BANDS[self.band] if isinstance(self.band, str) else self.band

    @property
    def heard(self) -> str:
        """What of a sound is left in the features, in words: the band-pass by its name and edges."""
        if self.band_hz is None:
            return "all frequencies"
        low_hz, high_hz = self.band_hz
        edges = f"{low_hz:g}–{high_hz:g} Hz"
        return f"{self.band} ({edges})" if isinstance(self.band, str) else edges

    def in_common_band(self) -> FrontEnd:
        """The same front end, hearing what every stethoscope records.

        Raises:
            InvalidFrontend: its settings do not fit that band.
        """
        return replace(self, band="common")

    @property
    @abstractmethod
    def n_coefficients(self) -> int:
        """Size of the last axis of the features."""

    @abstractmethod
    def n_frames(self, n_samples: int) -> int:
        """Frames of a waveform of n samples."""

    @abstractmethod
    def features(self, waveform: Float32[Array, "*batch time"]) -> Float32[Array, "*batch frames coefficients"]:
        """What `level` returns → features."""

    # For explanations: features as a linear map of what a picture can show, cells of time and band.

    @property
    def band_centres_hz(self) -> Float64[np.ndarray, " bands"] | None:
        """Where the bands of `from_bands` lie, in Hz; None where they have no frequency."""
        return None

    def from_bands(self, bands: Float32[Array, "*batch frames bands"]) -> Float32[Array, "*batch frames coefficients"]:
        """Cells of time and band → features, linearly; here they are the features themselves."""
        return bands

    def to_bands(self, change: Float32[Array, "*batch frames coefficients"]) -> Float32[Array, "*batch frames bands"]:
        """A change of features → the smallest change of bands that makes it."""
        return change

    def augment(self, key: Key[Array, ""], waveform: Float32[Array, "batch time"]) -> Float32[Array, "batch time"]:
        """What training does to waveforms before the features are taken; here nothing.

        The same key gives the same result.
        """
        return waveform

    def to_dict(self) -> dict[str, Any]:
        """Name and settings in JSON types; `frontend_from_dict` reads them back."""
        return {"name": self.name} | _listed(asdict(self))

    def _check_whole(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InvalidFrontend(
                    f"front end {self.name!r}: {name} is {value!r}; it must be a positive whole number"
                )


@dataclass(frozen=True)
class MelFrontEnd(FrontEnd):
    """What front ends on mel bands in decibels share.

    Features are decibels of a sound whose root mean square is one, so gain changes nothing. They are relative to that
    level and not to the window's loudest cell, as one crackle would otherwise darken the whole window; the loudest cell
    only sets the floor.

    Attributes:
        n_fft: samples; see the front end.
        hop_samples: samples between frames; 512 are 32 ms, half a fine crackle's spacing and cheap for a network.
        n_mels: mel bands.
        f_min_hz: Hz; lowest edge of the mel bands, the band-pass's own.
        f_max_hz: Hz; highest edge of the mel bands. Recordings made at 4 kHz end here: higher bands would tell a
            network which recorder was used (and with it, on ICBHI, the diagnosis) before it has heard a lung.
        reference: what 0 dB is: the window's "level", or as in the original project its "loudest" cell.
        floor_db: dB below a window's loudest band where decibels are cut off; librosa's default. Below lies the noise
            of 16-bit storage.
    """

    n_fft: int = 1024
    hop_samples: int = 512
    n_mels: int = 40
    f_min_hz: float = 50.0
    f_max_hz: float = 1800.0
    reference: Reference = "level"
    floor_db: float = 80.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_whole("n_fft", "hop_samples", "n_mels")
        try:
            filterbank = self._filterbank()
        except (spectral.SpectralError, TypeError) as error:
            raise InvalidFrontend(f"front end {self.name!r}: {error}") from error
        if self.band == "common" and self.f_max_hz > BANDS["common"][1]:
            raise InvalidFrontend(
                f"front end {self.name!r}: f_max_hz is {self.f_max_hz:g}, above the common band; mel bands "
                f"there would hold what is left of the recorder. {BANDS['common'][1]:g} Hz is the most, "
                "or choose another band"
            )
        if not self.floor_db > 0:
            raise InvalidFrontend(f"front end {self.name!r}: floor_db is {self.floor_db}; it must be above 0")
        if self.reference not in get_args(Reference):
            raise InvalidFrontend(f"front end {self.name!r}: reference is {self.reference!r}; choose level or loudest")
        if not filterbank.any(axis=0).all():
            raise InvalidFrontend(
                f"front end {self.name!r}: {self.n_mels} mel bands are too narrow for n_fft {self.n_fft}: some hold no "
                "frequency; use fewer bands (n_mels) or a longer n_fft"
            )

    def n_frames(self, n_samples: int) -> int:
        return spectral.n_frames(n_samples, self.hop_samples)

    @property
    def heard(self) -> str:
        return f"{super().heard}, {self.n_mels} mel bands {self.f_min_hz:g}–{self.f_max_hz:g} Hz"

    def in_common_band(self) -> FrontEnd:
        return replace(self, band="common", f_max_hz=min(self.f_max_hz, BANDS["common"][1]))

    @property
    def band_centres_hz(self) -> Float64[np.ndarray, " bands"]:
        low, high = (float(hz_to_mel(hz, "slaney")) for hz in (self.f_min_hz, self.f_max_hz))
        return mel_to_hz(np.linspace(low, high, self.n_mels + 2)[1:-1], "slaney")

    def features(self, waveform: Float32[Array, "*batch time"]) -> Float32[Array, "*batch frames coefficients"]:
        return self.from_bands(self.log_mel(waveform))

    def log_mel(self, waveform: Float32[Array, "*batch time"]) -> Float32[Array, "*batch frames bands"]:
        """What `level` returns → decibels in mel bands."""
        # Bands of a window that sums to one, so that decibels do not depend on n_fft.
        mel = spectral.mel_spectrogram(
            waveform,
            n_fft=self.n_fft,
            hop_samples=self.hop_samples,
            filterbank=self._filterbank() / float(spectral.hann(self.n_fft).sum()) ** 2,
        )
        reference: float | Literal["loudest"] = 1.0 if self.reference == "level" else "loudest"
        return spectral.power_to_db(mel, reference=reference, floor_db=self.floor_db)

    def _filterbank(self) -> Float32[np.ndarray, "bins bands"]:
        return mel_filterbank(
            rate_hz=self.rate_hz,
            n_fft=self.n_fft,
            n_mels=self.n_mels,
            f_min_hz=self.f_min_hz,
            f_max_hz=self.f_max_hz,
        )


FRONTENDS: dict[str, type[FrontEnd]] = {}
"""Front ends by name; `@register` adds one."""

F = TypeVar("F", bound=FrontEnd)


def register(frontend: type[F]) -> type[F]:
    """Make a front end known by its `name`."""
    if frontend.name in FRONTENDS:
        raise ValueError(f"there already is a front end named {frontend.name!r}")
    FRONTENDS[frontend.name] = frontend
    return frontend


@register
@dataclass(frozen=True)
class LogMel(MelFrontEnd):
    """Mel bands in decibels: an image for a 2-D network.

    Attributes:
        n_mels: mel bands; 40 are 42 Hz wide below 1 kHz, which tells wheezes apart. The original project's 20 do not.
        n_fft: samples; 1024 are 64 ms, short enough to show a coarse crackle.
    """

    name: ClassVar[str] = "logmel"
    network: ClassVar[str] = "cnn2d"

    @property
    def n_coefficients(self) -> int:
        return self.n_mels


@register
@dataclass(frozen=True)
class Mfcc(MelFrontEnd):
    """Mel-frequency cepstral coefficients: the spectrum's envelope in few numbers, for a 2-D network.

    Attributes:
        n_mfcc: coefficients kept, the zeroth (the level of the frame) among them; the original project's 20.
        n_mels: mel bands they are taken from.
        lifter: coefficient that liftering lifts most, in speech 22; 0 for none, as standardisation scales each anyway.
        deltas: how many derivatives over time to append, at most 2; a network with windows over time needs none.
        delta_width: frames a derivative is fitted over; 9 are 0.3 s, a third of an inspiration.
    """

    name: ClassVar[str] = "mfcc"
    network: ClassVar[str] = "cnn2d"

    n_mfcc: int = 20
    lifter: float = 0.0
    deltas: int = 0
    delta_width: int = 9

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.lifter >= 0:
            raise InvalidFrontend(f"front end {self.name!r}: lifter is {self.lifter}; it must not be negative")
        if self.deltas not in (0, 1, 2) or self.delta_width < 3 or self.delta_width % 2 == 0:
            raise InvalidFrontend(
                f"front end {self.name!r}: deltas is {self.deltas} and delta_width {self.delta_width}; "
                "deltas is 0, 1 or 2, and delta_width an odd number from 3 up"
            )
        if not 1 <= self.n_mfcc <= self.n_mels:
            raise InvalidFrontend(
                f"front end {self.name!r}: n_mfcc is {self.n_mfcc}; it lies between 1 and n_mels = {self.n_mels}"
            )

    @property
    def n_coefficients(self) -> int:
        return self.n_mfcc * (1 + self.deltas)

    def from_bands(self, bands: Float32[Array, "*batch frames bands"]) -> Float32[Array, "*batch frames coefficients"]:
        mfcc = spectral.cepstrum(bands, self.n_mfcc, lifter=self.lifter)
        derivatives = [spectral.delta(mfcc, order=k + 1, width=self.delta_width) for k in range(self.deltas)]
        return jnp.concatenate([mfcc, *derivatives], axis=-1)

    def to_bands(self, change: Float32[Array, "*batch frames coefficients"]) -> Float32[Array, "*batch frames bands"]:
        # The derivatives follow from the coefficients themselves.
        matrix = spectral.cepstral_matrix(self.n_mels, self.n_mfcc, lifter=self.lifter)
        return jnp.matmul(change[..., : self.n_mfcc], np.linalg.pinv(matrix), precision=jax.lax.Precision.HIGHEST)


@register
@dataclass(frozen=True)
class AugmentedMfcc(Mfcc):
    """A sequence of many MFCC for a 1-D network, trained on waveforms with noise, pitch shift and time stretch.

    Serving changes nothing about the sound: only training calls `augment`.

    Attributes:
        n_mfcc: coefficients; the original project's 52, here over time instead of averaged over it.
        n_mels: mel bands; 64 > 52, so that the last coefficients still say something of their own.
        n_fft: samples; 2048 (128 ms) resolve 64 bands up to 1800 Hz.
        augmentation: how far and how often training waveforms are changed; see AugmentConfig.
    """

    name: ClassVar[str] = "augmented"
    network: ClassVar[str] = "cnn1d"
    augments: ClassVar[bool] = True

    n_fft: int = 2048
    n_mels: int = 64
    n_mfcc: int = 52
    augmentation: AugmentConfig = field(default_factory=AugmentConfig)

    def augment(self, key: Key[Array, ""], waveform: Float32[Array, "batch time"]) -> Float32[Array, "batch time"]:
        drawn = augment.draw(key, self.augmentation, waveform.shape[0])
        return augment.apply(self.augmentation, drawn, waveform, rate_hz=self.rate_hz)


def frontend_named(name: str) -> type[FrontEnd]:
    """The front end class of that name.

    Raises:
        UnknownFrontend: with the nearest name.
    """
    if name in FRONTENDS:
        return FRONTENDS[name]
    raise UnknownFrontend(
        f"there is no front end {name!r}; choose from {', '.join(FRONTENDS)}.{_nearest(name, FRONTENDS)}"
    )


def frontend_from_dict(settings: Mapping[str, Any]) -> FrontEnd:
    """Inverse of `FrontEnd.to_dict`; settings that are missing take their defaults.

    Raises:
        UnknownFrontend: no such name.
        InvalidFrontend: a setting that the front end does not have, or a value that makes no sense.
    """
    if "name" not in settings:
        raise InvalidFrontend(f"a front end's settings need a 'name'; choose from {', '.join(FRONTENDS)}")
    frontend = frontend_named(str(settings["name"]))
    values = {key: value for key, value in settings.items() if key != "name"}
    _check_names(values, frontend, f"front end {frontend.name!r}")
    try:
        if isinstance(values.get("augmentation"), Mapping):
            _check_names(values["augmentation"], AugmentConfig, f"front end {frontend.name!r}, augmentation")
            values["augmentation"] = AugmentConfig(**_tupled(values["augmentation"]))
        return frontend(**_tupled(values))
    except (TypeError, augment.AugmentError) as error:  # TypeError: a text where a number belongs
        raise InvalidFrontend(f"front end {frontend.name!r}: a setting of the wrong kind: {error}") from error


def _check_names(values: Mapping[str, Any], owner: type, where: str) -> None:
    known = [f.name for f in fields(owner)]
    for key in values:
        if key not in known:
            raise InvalidFrontend(f"{where} has no setting {key!r}; it has {', '.join(known)}.{_nearest(key, known)}")


def _nearest(name: str, names: Any) -> str:
    near = difflib.get_close_matches(name, list(names), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def _listed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Tuples → lists: what JSON makes of them, so that a dict read back from a file equals the one written."""
    return {
        k: list(v) if isinstance(v, tuple) else _listed(v) if isinstance(v, Mapping) else v for k, v in values.items()
    }


def _tupled(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


def _over(waveform: Float32[Array, "*batch time"], level: Float32[Array, "*batch 1"]) -> Float32[Array, "*batch time"]:
    """waveform / level, and zero where the level is zero."""
    return waveform / jnp.where(level > 0, level, 1.0)
