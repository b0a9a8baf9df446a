"""What schemathesis sends as a sound: some that can be used, some that cannot. Read through SCHEMATHESIS_HOOKS."""

from __future__ import annotations

import io

import numpy as np
import schemathesis
import soundfile
from hypothesis import strategies as st


def _encoded(samples: np.ndarray, container: str) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 4_000, format=container)
    return buffer.getvalue()


_BREATH = 0.1 * np.random.default_rng(0).normal(size=24_000)
_USABLE = [_encoded(_BREATH, container) for container in ("WAV", "FLAC", "OGG")]
_SOUNDS = [*_USABLE, _encoded(_BREATH[:100], "WAV"), _encoded(0 * _BREATH, "WAV"), _USABLE[0][:9_000], b"", b"RIFF"]

for kind in ("audio/wav", "audio/flac", "audio/ogg", "audio/mpeg"):
    schemathesis.openapi.media_type(kind, st.sampled_from(_SOUNDS))
