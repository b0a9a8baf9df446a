"""The bands that front ends hear, by name. Without JAX: commands and pages name them too."""

from __future__ import annotations

#: Bands with a name, in Hz. "wide": 50 Hz takes away the rumble of handling, 5 kHz is above all lung sounds; both as in
#: the original project. "common": what every stethoscope of ICBHI 2017 records, so that the recorder, which there
#: nearly is the diagnosis, is neither heard nor in the level.
BANDS: dict[str, tuple[float, float]] = {"wide": (50.0, 5000.0), "common": (50.0, 1800.0)}
