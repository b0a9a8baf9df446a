"""Do explanations find what the network listens to? Networks are trained on made-up breathing with planted sounds.

Taking the most salient frames away must lower the log odds of the answer more than taking random ones, the least
salient ones, or those that stand out most without asking the network (the deletion test of Petsiuk, Das & Saenko, BMVC
2018), and the saliency must lie where the sound lies.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import soxr

from jaxresp import audio, models
from jaxresp.classifier import Classifier, Spec
from jaxresp.explain import log_odds
from jaxresp.features import FeatureBank, window_features
from jaxresp.frontend import FRONTENDS
from jaxresp.models import NetworkConfig
from jaxresp.synthetic import sounds
from jaxresp.taxonomy import MULTICLASS
from jaxresp.train import TrainConfig, fit, standardise

pytestmark = pytest.mark.slow

KINDS = ("quiet", "wheeze", "crackle")  # classes 0, 1 and 2, whatever the task calls them
N, N_TRAIN, LENGTH_S, EVENT_S = 120, 90, 5.0, 0.9
SHARES = np.linspace(0, 0.5, 11)  # of the frames, taken away step by step


def breathing(rng: np.random.Generator, kind: str) -> tuple[audio.Recording, float]:
    """Five seconds with one wheeze or one shower of crackles in them, and when it begins."""
    n = round(LENGTH_S * sounds.RATE_HZ)
    breaths = sounds.draw_breaths(rng, LENGTH_S, 2.2)
    out = sounds.breath_noise(rng, n, breaths, corner_hz=280.0, tracheal=False) + 0.3 * sounds.rumble(rng, n)
    at_s = float(rng.uniform(0.3, LENGTH_S - EVENT_S - 0.3))
    if kind == "wheeze":
        sounds.add_wheeze(out, rng, at_s, EVENT_S, rng.uniform(300, 600), 1.5)
    if kind == "crackle":
        sounds.add_crackles(out, rng, at_s + np.sort(rng.uniform(0, EVENT_S, 10)), 0.01, 6.0)
    waveform = soxr.resample(0.5 * out / np.abs(out).max(), sounds.RATE_HZ, 16_000)
    return audio.from_samples(waveform.astype(np.float32), 16_000), at_s


@pytest.mark.parametrize("features", FRONTENDS)
def test_salient_moments_are_those_that_matter(features: str) -> None:
    rng, frontend = np.random.default_rng(0), FRONTENDS[features]()
    made = [breathing(rng, KINDS[i % 3]) for i in range(N)]
    labels = (np.arange(N) % 3).astype(np.int32)
    heard = np.concatenate(
        [np.asarray(window_features(frontend, r.samples[None], np.float32([r.scale]))) for r, _ in made]
    )
    bank = FeatureBank(heard[:, None], np.arange(N, dtype=np.int32), N)
    network = NetworkConfig(frontend.network, 8, 16)
    config = TrainConfig(batch_size=16, learning_rate=3e-3, dropout=0.0)
    fitted = fit(bank, labels, MULTICLASS, network, config, train=np.arange(N_TRAIN), epochs=25)
    ours = Classifier.from_fit(Spec(f"multiclass-{features}", MULTICLASS, frontend, network), fitted)
    by = fitted.standardisation
    odds = jax.jit(lambda x, k: log_odds(models.apply(ours._graph, fitted.weights, standardise(x, by)), k))

    fall: dict[str, list[float]] = {"most": [], "strongest": [], "random": [], "least": []}
    density = []
    for i in range(N_TRAIN, N):
        recording, at_s = made[i]
        if labels[i] == 0:
            continue
        explained = ours.explain(recording, ours.classes[labels[i]])
        saliency, at = explained.saliency[0], explained.time_s[0]
        n = saliency.size
        orders = {
            "most": np.argsort(-saliency, kind="stable"),
            "strongest": np.argsort(-np.abs(standardise(heard[i], by)).sum(axis=-1), kind="stable"),
            "random": np.random.default_rng(i).permutation(n),
            "least": np.argsort(explained.cells[0].sum(axis=-1), kind="stable"),
        }
        for order, frames in orders.items():
            taken = np.repeat(heard[i][None], SHARES.size, axis=0)
            for k, share in enumerate(SHARES):
                taken[k, frames[: int(share * n)]] = by.mean
            left = np.asarray(odds(taken, jnp.int32(labels[i])))
            fall[order].append(float(left[0] - left.mean()))
        there = (at > at_s - 0.15) & (at < at_s + EVENT_S + 0.15)  # what the smoothing and a frame's length blur
        density.append(saliency[there].sum() / saliency.sum() / there.mean())
    most = np.asarray(fall.pop("most"))
    means = ", ".join(f"{order} {np.mean(values):.2f}" for order, values in fall.items())
    print(f"{features}: fall {most.mean():.2f}; {means}; density where planted {np.mean(density):.2f}")
    for order, values in fall.items():
        ahead = most - np.asarray(values)
        assert ahead.mean() > 2 * ahead.std() / np.sqrt(ahead.size), f"no better than the {order} frames"
    assert np.mean(density) > 2, "the saliency does not lie where the sound does"
