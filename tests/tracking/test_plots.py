"""What a figure shows is what it was given, and making one leaves nothing behind."""

from __future__ import annotations

from jaxresp.tracking.plots import curves_figure, history_figure, importance_figure


def test_curves_show_every_epoch_of_every_fold() -> None:
    histories = [
        [{"train_loss": 3.0, "validation_loss": 4.0}, {"train_loss": 2.0, "validation_loss": 5.0}],
        [{"train_loss": 1.0, "validation_loss": 2.0}],
    ]
    (axes,) = curves_figure(histories, "title").axes
    lines = {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines}
    assert lines == {
        "fold 1, train loss": ([1, 2], [3.0, 2.0]),
        "fold 1, validation loss": ([1, 2], [4.0, 5.0]),
        "fold 2, train loss": ([1], [1.0]),
        "fold 2, validation loss": ([1], [2.0]),
    }


def test_history_shows_every_trial_and_the_best_of_the_complete_ones() -> None:
    (axes,) = history_figure([0, 1, 2, 3], [0.9, 0.2, 0.7, 0.8], [False, True, False, False]).axes
    lines = {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines}
    assert lines == {
        "complete": ([1, 3, 4], [0.9, 0.7, 0.8]),
        "pruned": ([2], [0.2]),
        "best so far": ([1, 3, 4], [0.9, 0.7, 0.7]),
    }


def test_what_mattered_most_stands_on_top() -> None:
    (axes,) = importance_figure({"dense": 0.2, "learning_rate": 0.7, "dropout": 0.1}).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["dropout", "dense", "learning_rate"]
    assert [bar.get_width() for bar in axes.patches] == [0.1, 0.2, 0.7]


def test_figures_are_not_remembered_by_pyplot() -> None:
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    curves_figure([[{"train_loss": 1.0, "validation_loss": 1.0}]], "title")
    history_figure([0], [1.0], [False])
    importance_figure({"dropout": 1.0})
    assert plt.get_fignums() == before
