"""What a user is told in one sentence instead of a result."""


class InputError(ValueError):
    """Bad input, told in one sentence a reviewer can act on.

    The command line prints the message and exits with code 2. It is raised before
    anything is written, so a caller never has to clean up after it.
    """


class Unavailable(InputError):
    """The review's file or server cannot be read or written just now; the same may be asked again later."""
