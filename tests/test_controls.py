"""Controls that tell a trainer that works from one that is lucky."""

from dataclasses import replace

import numpy as np
import pytest

from jaxresp import models
from jaxresp.evaluate.metrics import classification_metrics, roc_auc
from jaxresp.features import FeatureBank, build_bank
from jaxresp.frontend import Mfcc
from jaxresp.models import NetworkConfig
from jaxresp.splits import cross_validation
from jaxresp.sweep import Problem, out_of_fold_logits, sweep
from jaxresp.taxonomy import BINARY, MULTICLASS
from jaxresp.train import TrainConfig, fit, predict
from jaxresp.window import WindowConfig

NETWORK = NetworkConfig("cnn2d", filters=8, dense=32)
TRAINING = TrainConfig(batch_size=16, max_epochs=25, patience=8, learning_rate=3e-3, dropout=0.2)


@pytest.fixture(scope="module")
def bank(easy_corpus) -> FeatureBank:
    return build_bank(easy_corpus, Mfcc(), WindowConfig())


def unseen_probabilities(corpus, bank, labels, task, folder) -> np.ndarray:
    """Out-of-fold answers of one trial with default settings."""
    split = cross_validation(corpus.patient, labels, task.classes)
    problem = Problem("control", bank, labels, task, NETWORK, TRAINING, split)
    return np.asarray(models.probabilities(out_of_fold_logits(problem, sweep(problem, folder, n_trials=1))))


def test_unseen_patients_of_the_easy_corpus_are_told_apart(easy_corpus, bank, tmp_path):
    labels = easy_corpus.labels(BINARY)
    answers = unseen_probabilities(easy_corpus, bank, labels, BINARY, tmp_path)
    assert roc_auc(labels == 1, answers[:, 1]) >= 0.95


def test_unseen_patients_of_the_easy_corpus_fall_into_three_groups(easy_corpus, bank, tmp_path):
    labels = easy_corpus.labels(MULTICLASS)
    answers = unseen_probabilities(easy_corpus, bank, labels, MULTICLASS, tmp_path)
    assert classification_metrics(labels, answers).macro_roc_auc >= 0.95


def test_shuffled_labels_give_chance(easy_corpus, bank, tmp_path):
    """Whole patients are relabelled, so the task looks the same but has no answer."""
    _, first, of_row = np.unique(easy_corpus.patient, return_index=True, return_inverse=True)
    true = easy_corpus.labels(BINARY)[first]
    areas = []
    for seed in range(4):
        labels = np.random.default_rng(seed).permutation(true)[of_row]
        answers = unseen_probabilities(easy_corpus, bank, labels, BINARY, tmp_path / str(seed))
        areas.append(roc_auc(labels == 1, answers[:, 1]))
    # 8 against 16 patients: one area has a standard deviation of about .12 under chance, the mean of four .06.
    assert 0.3 < np.mean(areas) < 0.7, areas


@pytest.mark.parametrize("task", [BINARY, MULTICLASS], ids=lambda task: task.name)
def test_eight_clips_can_be_overfitted(easy_corpus, bank, task):
    labels = easy_corpus.labels(task)
    n_each = -(-8 // len(task.classes))
    eight = np.concatenate([np.flatnonzero(labels == c)[:n_each] for c in range(len(task.classes))])[:8]
    training = replace(TRAINING, batch_size=8, dropout=0.0, weight_decay=0.0)
    result = fit(bank, labels, task, NETWORK, training, train=eight, epochs=40)
    assert result.history[-1]["train_loss"] < 0.02
    graph, _ = models.create(NETWORK, bank.features.shape[-1], task.n_outputs, seed=0)
    logits = predict(graph, result.weights, result.standardisation, bank, eight)
    assert np.array_equal(np.asarray(models.probabilities(logits)).argmax(1), labels[eight])
