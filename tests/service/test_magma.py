import numpy as np
from matplotlib import colormaps

from bento.ui.magma import palette


def test_the_palette_is_matplotlibs_magma() -> None:
    ours = np.frombuffer(palette(), np.uint8).reshape(256, 3).astype(int)
    theirs = (colormaps["magma"](np.arange(256))[:, :3] * 255).astype(int)
    assert np.abs(ours - theirs).max() <= 1
