"""Which moments and bands of a sound spoke for the answer.

Integrated gradients (Sundararajan, Taly & Yan, "Axiomatic attribution for deep networks", ICML 2017) of the log odds of
one class, from the mean of the training sounds to the sound itself. The attributions of all cells add up to what the
sound changed about the log odds, so that windows can be compared with each other. MFCC are a linear map of mel bands,
so the attribution of every front end is told in cells of time and band.

Whether the moments found matter is measured by taking them away (Petsiuk, Das & Saenko, "RISE", BMVC 2018):
tests/slow/test_deletion.py.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float32, Int32

from jaxresp import models
from jaxresp.frontend import FrontEnd
from jaxresp.models import Weights
from jaxresp.train import Standardisation, standardise

_STEPS = 8  # points of the path; a network of ReLUs and maxima is nearly straight along it

#: weights, standardisation, features of one window, class → attribution of each cell.
Attribute = Callable[
    [Weights, Standardisation, Float32[Array, "1 frames coefficients"], Int32[Array, ""]],
    Float32[Array, "frames bands"],
]


def log_odds(logits: Float32[Array, "*n outputs"], of_class: Int32[Array, ""]) -> Float32[Array, "*n"]:
    """Logits → log of the odds of one class against all others. A single logit is that of the second class."""
    if logits.shape[-1] == 1:
        return jnp.where(of_class == 1, 1.0, -1.0) * logits[..., 0]
    own = jax.nn.one_hot(of_class, logits.shape[-1], dtype=bool)
    return jnp.take(logits, of_class, axis=-1) - jax.nn.logsumexp(jnp.where(own, -jnp.inf, logits), axis=-1)


def attribute_with(frontend: FrontEnd, graph: nnx.GraphDef) -> Attribute:
    """The function, to be jitted, that attributes the log odds of a class to the cells of one window.

    One window at a time, as a batch of the points of its path: one shape to compile for recordings of any length.
    """

    def attribute(
        weights: Weights,
        by: Standardisation,
        features: Float32[Array, "1 frames coefficients"],
        of_class: Int32[Array, ""],
    ) -> Float32[Array, "frames bands"]:
        change = features[0] - by.mean
        share = (jnp.arange(_STEPS, dtype=jnp.float32) + 0.5) / _STEPS  # midpoint rule

        def odds(path: Float32[Array, "steps frames coefficients"]) -> Float32[Array, ""]:
            return log_odds(models.apply(graph, weights, jnp.asarray(standardise(path, by))), of_class).sum()

        slope = jax.grad(odds)(by.mean + share[:, None, None] * change).mean(0)
        _, to_bands_slope = jax.vjp(frontend.from_bands, jnp.zeros_like(frontend.to_bands(change)))
        (slope_by_band,) = to_bands_slope(slope)
        return frontend.to_bands(change) * slope_by_band

    return attribute
