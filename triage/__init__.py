"""Rank, screen and stop: abstract triage for systematic reviews.

The Python interface, described in docs/python.md, is loaded name by name when it is first used, so that importing the
package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .interface.certifying import certificate
    from .interface.ranker import Ranker
    from .interface.reading import Review, open_review
    from .interface.simulating import Simulation, simulate

__version__ = "0.1.0"
__all__ = ["Ranker", "Review", "Simulation", "certificate", "open_review", "simulate"]

_DEFINED_IN = {
    "Ranker": "ranker",
    "Review": "reading",
    "Simulation": "simulating",
    "certificate": "certifying",
    "open_review": "reading",
    "simulate": "simulating",
}


def __getattr__(name: str) -> object:
    if name not in _DEFINED_IN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f".interface.{_DEFINED_IN[name]}", __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
