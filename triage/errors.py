"""The one sentence that a user gets instead of a result."""

from __future__ import annotations

from collections.abc import Sequence

_MOST_LISTED = 20  # faults of one file; more would push the first ones off the terminal


class InputError(ValueError):
    """Bad input, described in one sentence that a reviewer can act on.

    The command line prints the message and exits with code 2. It is raised before
    anything is written, so a caller never has to clean up after it.

    Attributes
    ----------
    message : str
        The sentence.
    details : tuple of str
        A line for each of the several faults of one file, where there is more than one.
    """

    def __init__(self, message: str, details: Sequence[str] = ()) -> None:
        super().__init__("\n".join((message, *details)))
        self.message, self.details = message, tuple(details)


class Unavailable(InputError):
    """The review's file or server cannot be read or written just now; the same may be asked again later."""


class ExtraNeeded(InputError):
    """Something was asked for that needs packages which not everybody installs.

    Parameters
    ----------
    what : str
        What was asked for, as the beginning of the sentence.
    extra : str
        The name under which pyproject.toml lists the packages.
    """

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs packages that are not installed; install them with: pip install 'abstract-triage[{extra}]'."
        )


def checked_share(name: str, value: float) -> float:
    """Return a share such as a target or a confidence.

    Raises
    ------
    InputError
        When it does not lie between 0 and 1.
    """
    if not 0 < value < 1:
        raise InputError(f"{name} {value} must lie between 0 and 1, such as 0.95.")
    return value


class Faults:
    """Collects what is wrong with a file, so that all of it is reported at once.

    Parameters
    ----------
    file : str
        What to call the file in the message.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self._listed: list[str] = []
        self._advice: dict[str, None] = {}
        self._count = 0

    def add(self, where: str, fault: str, advice: str) -> None:
        """Note one fault: its line or row, what is wrong there, and what to do about it."""
        self._count += 1
        self._advice[advice] = None
        if len(self._listed) < _MOST_LISTED:
            self._listed.append(f"{where}: {fault}")

    def refuse(self) -> None:
        """Raise an `InputError` that lists every fault, if there is any."""
        advice = "; ".join(self._advice)
        if self._count == 1:
            raise InputError(f"{self._file}, {self._listed[0]}; {advice}.")
        if self._count:
            more = self._count - len(self._listed)
            raise InputError(
                f"{self._file} has {self._count} errors, so nothing of it was taken:",
                [*self._listed, *([f"and {more} more"] if more else []), f"What to do: {advice}."],
            )
