"""Run the tests and hold the packages that numbers and records depend on to a floor of coverage.

Usage: python scripts/tools/coverage_floor.py [--alone]

pyproject.toml names the packages and the floor ([tool.coverage]); each package has to reach it in lines and branches.
They are traced while they are imported and while the tests about them run, without those marked slow: nothing else is
slowed down, and no test runs twice. `--alone` runs these tests alone and lists the lines that none of them runs.
"""

import importlib
import io
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path

import coverage
import pytest

ROOT = Path(__file__).resolve().parents[2]
# The tests about the packages. What merely passes through a package says little of whether it is right.
TESTS = (
    "adjudicated",
    "attention",
    "batches",
    "choice",
    "decisions",
    "formats",
    "formats_*",
    "intake_importing",
    "intake_votes",
    "log_*",
    "recall_*",
    "status_claims",
    "stopping",
    "stopping_rules",
    "team",
)


class Floor:
    """A plugin of pytest that traces the tests about the packages and fails the run below the floor."""

    def __init__(self, alone: bool) -> None:
        self.cov = coverage.Coverage(data_file=None)
        self.floor: float = self.cov.get_option("report:fail_under")
        self.packages: list[str] = self.cov.get_option("run:source_pkgs")
        self.alone = alone
        self.reports: list[tuple[str, float, str]] = []

    def import_packages(self) -> None:
        """Import every module of the packages, traced: the statements of a module run when it is first imported."""
        self.cov.start()
        for name in self.packages:
            package = importlib.import_module(name)
            for module in pkgutil.walk_packages(package.__path__, f"{name}."):
                importlib.import_module(module.name)
        self.cov.stop()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        if item.get_closest_marker("slow") or not any(item.path.match(f"tests/test_{name}.py") for name in TESTS):
            return (yield)
        self.cov.start()
        try:
            return (yield)
        finally:
            self.cov.stop()

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        for name in self.packages:
            missing = io.StringIO()
            share = self.cov.report(include=f"{ROOT}/{name.replace('.', '/')}/*", file=missing)
            self.reports.append((name, share, missing.getvalue()))
        if session.exitstatus == pytest.ExitCode.OK and any(share < self.floor for _, share, _ in self.reports):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section(f"coverage, at least {self.floor:g} % of each")
        for name, share, missing in self.reports:
            low = share < self.floor
            if low or self.alone:
                terminalreporter.write_line(missing)
            terminalreporter.write_line(f"{name} {share:.1f} %{', below the floor' if low else ''}", red=low)


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--alone"]):
        raise SystemExit(__doc__)
    sys.path[0] = str(ROOT)  # as for `python -m pytest` in the root, instead of this script's folder
    floor = Floor(alone=bool(arguments))
    floor.import_packages()
    chosen = [f"tests/test_{name}.py" for name in TESTS] if floor.alone else []
    files = [str(path) for pattern in chosen for path in sorted(ROOT.glob(pattern))]
    return pytest.main([*files, *(["-m", "not slow"] if files else [])], plugins=[floor])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
