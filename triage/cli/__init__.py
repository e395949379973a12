"""The command line: 0 done, 1 a check not met, 2 bad usage or bad input, 130 interrupted."""

from . import files, reports, screening, suggesting, team, trials  # noqa: F401
from .app import app, keep_lines
from .running import main, run

keep_lines()

__all__ = ["app", "main", "run"]
