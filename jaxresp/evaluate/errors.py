"""What cannot be evaluated, by name."""

from __future__ import annotations

from jaxresp.errors import JaxrespError


class EvaluationError(JaxrespError):
    """Answers that no number can be drawn from."""


class NothingToEvaluate(EvaluationError):
    """No rows."""


class NonFiniteScores(EvaluationError):
    """NaN or infinite probabilities."""


class DuplicatedRows(EvaluationError):
    """A recording that is answered more than once."""


class UnknownPatients(EvaluationError):
    """Answers about patients or recordings that the others do not have."""
