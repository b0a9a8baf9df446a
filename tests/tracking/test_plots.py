"""What a figure shows is what it was given, and making one leaves nothing behind."""

from __future__ import annotations

from jaxresp.evaluate.plots import curves_figure


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


def test_figures_are_not_remembered_by_pyplot() -> None:
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    curves_figure([[{"train_loss": 1.0, "validation_loss": 1.0}]], "title")
    assert plt.get_fignums() == before
