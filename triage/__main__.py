"""`python -m triage` is the command `triage`."""

from .cli.running import main

if __name__ == "__main__":
    main()
