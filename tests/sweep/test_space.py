"""Laws of search spaces: whose settings they are, and that every one of them reaches what is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from flax import nnx

from jaxresp.features import FeatureBank
from jaxresp.frontend import LogMel, Mfcc, frontend_named
from jaxresp.models import NetworkConfig, create
from jaxresp.sweep import (
    ORIGINAL,
    SPACES,
    Banks,
    SearchSpace,
    UnknownSetting,
    UnknownSpace,
    best_trial,
    out_of_fold_logits,
    space_named,
    sweep,
)
from jaxresp.sweep.banks import MissingBank
from jaxresp.sweep.space import Choice, Real, Whole

from .conftest import bank, problem

FRONTENDS = ("mfcc", "logmel", "augmented")


def problem_on(frontend: object, folder: Path, build: object = None) -> object:
    return problem(
        network=NetworkConfig(frontend.network, filters=2, dense=8),  # type: ignore[attr-defined]
        banks=Banks(folder, frontend, build),  # type: ignore[arg-type]
    )


def drawn(space: SearchSpace, n: int) -> list[dict[str, object]]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [space.suggest(study.ask()) for _ in range(n)]


@pytest.mark.parametrize("name", FRONTENDS)
@pytest.mark.parametrize("space", sorted(SPACES))
def test_every_setting_of_a_space_reaches_what_is_trained(space: str, name: str, tmp_path: Path) -> None:
    of, searched = problem_on(frontend_named(name)(), tmp_path), space_named(space, name)
    for settings in drawn(searched, 30):
        assert searched.holds(settings)
        how = of.configured(settings)  # type: ignore[attr-defined]
        for key, value in settings.items():
            owners = [each for each in (how.network, how.training, how.frontend) if hasattr(each, key)]
            assert len(owners) == 1, key  # else it would be said of one and meant of the other
            assert getattr(owners[0], key) == value


@pytest.mark.parametrize("name", FRONTENDS)
def test_the_defaults_lie_in_every_space_and_are_what_an_untuned_training_has(name: str, tmp_path: Path) -> None:
    frontend = frontend_named(name)()
    of = replace(problem_on(frontend, tmp_path), network=NetworkConfig(frontend.network))  # type: ignore[type-var]
    of = replace(of, training=replace(of.training, learning_rate=1e-3))
    for space in ("original", "wide"):
        searched = space_named(space, name)
        defaults = of.defaults(searched)
        assert searched.holds({**defaults, "learning_rate": 1e-3})
        how = of.configured(defaults)
        assert (how.training, how.frontend) == (of.training, frontend)
        assert how.network.shape == of.network.shape


def test_dimensions_hold_what_they_draw_and_nothing_else() -> None:
    assert not Choice((1, 2)).holds(3)
    assert not Whole(64, 256, 32).holds(100)
    assert not Real(0.1, 0.5).holds(0.6)
    assert ORIGINAL.dimensions["dense"].holds(224)
    with pytest.raises(UnknownSpace, match="choose from original, wide"):
        space_named("wider", "mfcc")


def test_a_space_that_asks_for_what_is_not_there_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(UnknownSetting, match=r"nothing here has n_mfcc.*give the problem the banks"):
        sweep(problem(), tmp_path, n_trials=1, space=space_named("wide", "mfcc"))


@pytest.mark.slow
def test_a_front_end_is_tuned_on_banks_that_are_built_once_and_mapped(tmp_path: Path) -> None:
    """Each trial sees the features of its own setting, and answers from them."""
    built: list[Mfcc] = []

    def build(frontend: Mfcc) -> FeatureBank:
        built.append(frontend)
        return replace(bank(), features=np.ascontiguousarray(bank().features[..., : frontend.n_mfcc]))

    of = problem(banks=Banks(tmp_path / "banks", Mfcc(n_mfcc=8), build))
    space = SearchSpace("front end", {"n_mfcc": Choice((4, 8)), "learning_rate": Real(1e-3, 0.1, log=True)})
    of = replace(of, training=replace(of.training, max_epochs=2))
    trials = sweep(of, tmp_path, n_trials=6, space=space)
    assert {trial.frontend.n_mfcc for trial in trials} == {4, 8}  # type: ignore[union-attr]
    assert [frontend.n_mfcc for frontend in built] == [4]
    for trial in trials:
        assert trial.fits[0].standardisation.mean.size == trial.frontend.n_mfcc  # type: ignore[union-attr]
    assert np.isfinite(out_of_fold_logits(of, trials)).all()
    assert best_trial(trials).frontend is not None
    again = sweep(of, tmp_path, n_trials=6, space=space)
    assert [trial.score for trial in again] == [trial.score for trial in trials]
    assert isinstance(of.bank_of(Mfcc(n_mfcc=4)).features, np.memmap)


def test_a_bank_that_nobody_has_built_is_missed(tmp_path: Path) -> None:
    with pytest.raises(MissingBank, match="give the command again"):
        Banks(tmp_path, LogMel(), None).features(LogMel(n_mels=20))


@pytest.mark.parametrize("name", ["cnn1d", "cnn2d"])
def test_networks_are_as_deep_and_their_filters_as_long_as_asked(name: str) -> None:
    for config in (NetworkConfig(name, 2, 4), NetworkConfig(name, 2, 4, blocks=4, kernel=7)):
        _, weights = nnx.eval_shape(lambda config=config: create(config, 20, 1, seed=0))
        kernels = [weights.params[f"block{i + 1}"]["conv"]["kernel"].shape for i in range(config.blocks)]
        assert f"block{config.blocks + 1}" not in weights.params
        spatial = 1 if name == "cnn1d" else 2
        assert {shape[:spatial] for shape in kernels} == {(config.kernel or config.default_kernel,) * spatial}
        assert [shape[-1] for shape in kernels] == [2 << i for i in range(config.blocks)]
    with pytest.raises(ValueError, match="blocks and kernel must be positive"):
        NetworkConfig(name, blocks=0)
