"""Say what observation may say about a thing: known, absent, or not seen."""

from dataclasses import dataclass
from typing import Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Known(Generic[T_co]):
    """It was seen, and this is its value."""

    value: T_co


@dataclass(frozen=True, slots=True)
class Absent:
    """A complete listing that would show it was read, and it is not there."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """It could not be seen; ``reason`` says why. Nothing may be concluded from that."""

    reason: str


Reading = Known[T_co] | Absent | Unknown
