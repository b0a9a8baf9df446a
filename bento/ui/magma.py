"""The colours of the spectrogram: Matplotlib's "magma" (Smith & van der Walt, 2015, CC0), without Matplotlib.

Its 30 MB, and those of what it needs, would be installed wherever the service runs, for these bytes alone.
"""

from __future__ import annotations

import numpy as np

#: Every eighth colour, from black to white; what lies between is within one step of 255.
_EVERY_EIGHTH = np.frombuffer(
    bytes.fromhex(
        "0000030303110a0722120d331c1046281159350f6a430f7550127b5d177e691c807621818225818f2a809c2e7fa9327c"
        "b63679c23a75ce4070da4769e55063ee5b5ef4685bf8775cfb8660fd9567fda470feb37bfec286fdd193fddfa1fceeb0"
        "fbfcbf"
    ),
    np.uint8,
).reshape(-1, 3)


def palette() -> bytes:
    """256 colours, three bytes each, as Pillow takes them."""
    at = np.round(np.linspace(0, 255, len(_EVERY_EIGHTH)))
    colours = [np.interp(np.arange(256), at, _EVERY_EIGHTH[:, channel]) for channel in range(3)]
    return np.stack(colours, axis=1).round().astype(np.uint8).tobytes()
