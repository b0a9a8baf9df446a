"""A corpus → the features of all its windows, computed once and shared by every fold, trial and task.

Feature rows carry no label and no fitted statistic, so computing them before splitting leaks nothing. Augmented
variants of a window are rows of the same recording: a fold that holds the recording out holds its variants out.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Sharding
from jaxtyping import Array, Float32, Int16, Int32, Key

from jaxresp.corpus import Corpus
from jaxresp.dsp import augment
from jaxresp.dsp.augment import AugmentConfig
from jaxresp.frontend import FrontEnd
from jaxresp.window import WindowConfig

_CHUNK = 32  # windows computed at once: one compiled shape, bounded memory
_ALIGNMENT_BYTES = 64  # what XLA's CPU device uses where it lies, without a copy


@dataclass(frozen=True)
class FeatureBank:
    """Features of every window. What it holds is not changed once they are on a device, and NumPy then refuses to.

    Attributes:
        features: [windows, variants, frames, coefficients]; variant 0 is the clean window, the others are augmented.
        recording: the corpus row each window was cut from.
        n_recordings: recordings of the corpus.
        names: of the corpus' rows, for messages; or none.
    """

    features: Float32[np.ndarray, "windows variants frames coefficients"]
    recording: Int32[np.ndarray, " windows"]
    n_recordings: int
    names: Sequence[str] = ()
    _placed: dict[Sharding | None, Array] = field(default_factory=dict, init=False, repr=False, compare=False)

    def placed(self, sharding: Sharding | None = None) -> Float32[Array, "windows variants frames coefficients"]:
        """The features on the device, or where `sharding` says: brought there once, and kept as long as the bank."""
        if sharding not in self._placed:
            self.features.flags.writeable = False  # a CPU device may hold these very bytes
            self._placed[sharding] = jax.device_put(self.features, sharding)
        return self._placed[sharding]

    @cached_property
    def sha256(self) -> str:
        """Of the features and of whose they are."""
        found = hashlib.sha256(repr((self.features.shape, self.n_recordings)).encode())
        found.update(np.ascontiguousarray(self.recording))
        found.update(np.ascontiguousarray(self.features))
        return found.hexdigest()

    def named(self, recordings: Sequence[int]) -> str:
        """Recordings by name, where names are known, for messages; after ten an ellipsis."""
        shown = [self.names[i] if len(self.names) else f"row {i}" for i in recordings[:10]]
        return ", ".join(shown) + (", …" if len(recordings) > 10 else "")

    @property
    def clean(self) -> Float32[np.ndarray, "windows frames coefficients"]:
        return self.features[:, 0]

    def windows_of(self, recordings: np.ndarray) -> np.ndarray:
        """Rows of the windows that these recordings were cut into."""
        return np.flatnonzero(np.isin(self.recording, recordings))


def features_of(
    frontend: FrontEnd, samples: Int16[Array, "batch time"], scale: Float32[Array, " batch"]
) -> Float32[Array, "batch frames coefficients"]:
    """Stored windows → features. Training, evaluation and serving all come through here."""
    return frontend(samples.astype(jnp.float32) * scale[:, None])


#: The features by themselves, compiled once for all that share a front end: half of what a Classifier has to compile.
window_features = jax.jit(features_of, static_argnames="frontend")


def build_bank(
    corpus: Corpus,
    frontend: FrontEnd,
    window: WindowConfig,
    *,
    variants: int = 0,
    seed: int = 0,
    augmentation: AugmentConfig | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> FeatureBank:
    """Compute all features, and `variants` augmented versions of each window where the front end augments.

    Args:
        corpus: recordings on the front end's grid.
        frontend: what to compute.
        window: how recordings are cut.
        variants: augmented versions per window, beside the clean one; 0 for front ends without augmentation.
        seed: of the augmentation; window w, variant v depend on (seed, w, v) alone.
        augmentation: instead of the front end's own.
        progress: called with windows done and their total.
    """
    windows = corpus.windows(window)
    total = windows.samples.shape[0]
    shape = (total, 1 + variants, frontend.n_frames(windows.samples.shape[1]), frontend.n_coefficients)
    features = _aligned(shape)
    clean = jax.jit(lambda samples, scale: features_of(frontend, samples, scale))

    def change(key: Key[Array, ""], waveform: Float32[Array, "batch time"]) -> Float32[Array, "batch time"]:
        if augmentation is None:
            return frontend.augment(key, waveform)
        return augment.apply(
            augmentation, augment.draw(key, augmentation, len(waveform)), waveform, rate_hz=frontend.rate_hz
        )

    augmented = jax.jit(lambda samples, scale, key: frontend(change(key, samples.astype(jnp.float32) * scale[:, None])))
    key = jax.random.key(seed)
    for start in range(0, total, _CHUNK):
        rows = np.arange(start, start + _CHUNK) % total  # the last chunk is filled up with rows from the start
        kept = min(_CHUNK, total - start)
        samples, scale = windows.samples[rows], windows.scale[rows]
        features[start : start + kept, 0] = np.asarray(clean(samples, scale))[:kept]
        for v in range(1, variants + 1):
            drawn = jax.random.fold_in(jax.random.fold_in(key, v), start)
            features[start : start + kept, v] = np.asarray(augmented(samples, scale, drawn))[:kept]
        progress(min(start + _CHUNK, total), total)
    return FeatureBank(features, windows.recording, len(corpus), names=corpus.recording.tolist())


def _aligned(shape: tuple[int, ...]) -> Float32[np.ndarray, "windows variants frames coefficients"]:
    """An empty array that XLA's CPU device can use where it lies."""
    n_bytes = math.prod(shape) * 4
    memory = np.empty(n_bytes + _ALIGNMENT_BYTES, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT_BYTES
    return memory[start : start + n_bytes].view(np.float32).reshape(shape)
