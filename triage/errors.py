"""The one exception that a user's input may raise."""


class InputError(ValueError):
    """Bad input, told in one sentence a reviewer can act on.

    The command line prints the message and exits with code 2. It is raised before
    anything is written, so a caller never has to clean up after it.
    """
