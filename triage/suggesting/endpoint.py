"""The server that a language model answers at, and its key."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ..errors import InputError

KEY_VARIABLES = ("TRIAGE_API_KEY", "OPENAI_API_KEY")
_SHORTEST_SECRET = 8  # shorter keys ("EMPTY", for a server that wants none) are words of any text


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an OpenAI-compatible server is.

    Attributes
    ----------
    url : str
        Its address up to what comes before /chat/completions.
    host : str
        Its host and port, as a person is told and the log keeps.
    is_here : bool
        Whether that is this machine itself.
    """

    url: str
    host: str
    is_here: bool

    @classmethod
    def of(cls, address: str, *, insecure: bool = False) -> Endpoint:
        """Check an address.

        Parameters
        ----------
        address : str
        insecure : bool
            Whether plain http may go to another machine.

        Raises
        ------
        InputError
        """
        wanted = "such as http://localhost:11434/v1 or https://api.openai.com/v1"
        try:
            parts = urlsplit(address.strip())
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise InputError(f"--endpoint is not an address; give one {wanted}.") from error
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
            raise InputError(
                "--endpoint must hold no user, password, ? or #, which would be shown and logged; the key is read from "
                f"{KEY_VARIABLES[0]}."
            )
        if parts.scheme not in ("http", "https") or not host or not address.isprintable() or " " in address.strip():
            raise InputError(f"--endpoint {address!r} is not an address; give one {wanted}.")
        here = _is_this_machine(host)
        if parts.scheme == "http" and not here and not insecure:
            raise InputError(
                f"--endpoint {address!r} is plain http to another machine, so that anybody on the way could read the key and "
                "the records: use https, or --insecure if the network is your own."
            )
        named = f"[{host}]" if ":" in host else host
        netloc = named if port is None else f"{named}:{port}"
        path = re.sub(r"/chat/completions/?\Z", "", parts.path).rstrip("/")
        return cls(f"{parts.scheme}://{netloc}{path}", netloc, here)


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True, slots=True)
class Key:
    """The key of an endpoint, and the variable of the environment that it came from."""

    variable: str
    value: str = field(repr=False)

    def hidden_in(self, text: str) -> str:
        """Return a text without the key."""
        return text.replace(self.value, "[key]") if len(self.value) >= _SHORTEST_SECRET else text


def key_of_the_environment() -> Key | None:
    """Return the key; None where there is none, as servers on this machine need none.

    Raises
    ------
    InputError
        When it holds what no key can hold; the key is not told.
    """
    for variable in KEY_VARIABLES:
        if value := os.environ.get(variable, "").strip():
            if not (value.isascii() and value.isprintable()) or " " in value:
                raise InputError(f"The key in {variable} holds characters that no key has; set it anew.")
            return Key(variable, value)
    return None
