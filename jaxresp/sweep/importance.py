"""How much each setting's choice mattered to the score of a study's trials."""

from __future__ import annotations

import json
from pathlib import Path

import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import TrialState

from jaxresp.files import write_whole

#: Complete trials; the importance of fewer is that of chance.
FEWEST_TRIALS = 10


def importances(study: optuna.Study) -> dict[str, float]:
    """Shares that sum to one, the largest first, by PED-ANOVA (Watanabe et al., IJCAI 2023).

    Empty where fewer than FEWEST_TRIALS are complete, or where they differ in nothing.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < FEWEST_TRIALS or len({trial.value for trial in complete}) < 2:
        return {}
    varied = {name for name in complete[0].params if len({trial.params.get(name) for trial in complete}) > 1}
    if not varied:
        return {}
    return get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(), params=sorted(varied))


def write_importances(study: optuna.Study, file: Path) -> None:
    """`importances`, as JSON."""
    write_whole(file, json.dumps(importances(study), indent=2) + "\n")
