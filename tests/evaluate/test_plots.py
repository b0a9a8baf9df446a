"""What a figure shows is what it was given, and making one leaves nothing behind."""

from __future__ import annotations

import numpy as np

from jaxresp.evaluate.metrics import classification_metrics
from jaxresp.evaluate.plots import confusion_figure, curves_figure


def test_a_confusion_figure_shows_every_count_true_classes_down() -> None:
    labels, answered = np.array([0, 0, 0, 1, 1]), np.array([0, 1, 1, 1, 1])
    metrics = classification_metrics(labels, np.eye(3)[answered])  # the third class is absent: an empty row
    figure = confusion_figure(metrics, ("Normal", "Chronic", "Infection"), "title")
    (axes,) = figure.axes
    shown = {text.get_position()[::-1]: text.get_text() for text in axes.texts}
    assert shown == {(i, j): str(n) for (i, j), n in np.ndenumerate(np.array(metrics.confusion))}
    np.testing.assert_allclose(axes.images[0].get_array(), [[1 / 3, 2 / 3, 0], [0, 1, 0], [0, 0, 0]])
    assert [t.get_text() for t in axes.get_yticklabels()] == ["Normal", "Chronic", "Infection"]
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("true", "answered")
    figure.canvas.draw()


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
