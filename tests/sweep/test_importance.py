"""What mattered to the score is found, and nothing is said where too little was tried."""

from __future__ import annotations

import json
import math

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from jaxresp.sweep.importance import FEWEST_TRIALS, importances, write_importances


def study(n: int, score=lambda rate, dropout: math.log10(rate) ** 2) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    made = optuna.create_study(direction="minimize")
    distributions = {
        "learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
        "dropout": FloatDistribution(0.1, 0.5),
        "filters": CategoricalDistribution((16,)),
    }
    for i in range(n):
        settings = {"learning_rate": 10 ** (-4 + 2 * ((7 * i) % n) / n), "dropout": 0.1 + 0.4 * i / n, "filters": 16}
        value = score(settings["learning_rate"], settings["dropout"])
        made.add_trial(create_trial(params=settings, distributions=distributions, value=value))
    return made


def test_the_setting_that_decides_matters_most_and_one_that_never_varied_not_at_all() -> None:
    shares = importances(study(40))
    assert list(shares) == ["learning_rate", "dropout"]
    assert shares["learning_rate"] > 0.8
    assert sum(shares.values()) == pytest.approx(1)


def test_of_few_trials_and_of_equal_scores_nothing_is_said() -> None:
    assert importances(study(FEWEST_TRIALS - 1)) == {}
    assert importances(study(20, lambda rate, dropout: 1.0)) == {}


def test_pruned_trials_are_not_counted() -> None:
    few = study(FEWEST_TRIALS - 1)
    few.add_trial(create_trial(state=TrialState.PRUNED))
    assert importances(few) == {}


def test_they_are_left_in_a_file(tmp_path) -> None:
    write_importances(study(20), tmp_path / "importance.json")
    assert list(json.loads((tmp_path / "importance.json").read_text())) == ["learning_rate", "dropout"]
