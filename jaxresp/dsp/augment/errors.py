"""What augmentation refuses, in one wording."""

from __future__ import annotations

from jaxresp.errors import JaxrespError


class AugmentError(JaxrespError):
    """Augmentation settings, or arrays to be augmented, that make no sense."""


def check_probability(name: str, value: float) -> None:
    """Raise AugmentError unless 0 ≤ value ≤ 1."""
    if not 0 <= value <= 1:
        raise AugmentError(f"{name} is {value}; a probability lies between 0 and 1")


def check_within(name: str, value: float, low: float, high: float, unit: str = "") -> None:
    """Raise AugmentError unless low ≤ value ≤ high."""
    if not low <= value <= high:
        raise AugmentError(f"{name} is {value}; it lies between {low:g} and {high:g}{unit and ' ' + unit}")


def check_range(name: str, value: tuple[float, float], low: float, high: float, unit: str = "") -> None:
    """Raise AugmentError unless value is a pair with low ≤ first ≤ second ≤ high."""
    if not low <= value[0] <= value[1] <= high:
        raise AugmentError(
            f"{name} is {value}; give the lower first, both between {low:g} and {high:g}{unit and ' ' + unit}"
        )
