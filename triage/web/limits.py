"""Requests that are refused, and how many attempts to log in may fail."""

from __future__ import annotations

import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..wording import plural

_FORGET_SECONDS = 60 * 60  # after the last failed attempt


class Refused(Exception):
    """A request that is not carried out: what to say, and the status of the answer."""

    def __init__(self, status: int, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code


@dataclass(frozen=True, slots=True)
class Limit:
    """How many attempts may fail, and how long at most is waited for the next after that.

    The first wait is a second, and each failure doubles it.
    """

    free: int
    longest: float

    def wait(self, failed: int) -> float:
        """Return the seconds from the last failure to the next attempt."""
        return 0.0 if failed < self.free else min(self.longest, 2.0 ** min(failed - self.free, 30))


PER_NAME_AND_ADDRESS = Limit(5, 15 * 60)  # under one name, from one address or one browser
PER_ADDRESS = Limit(30, 60)  # from one address, which may be that of a whole office: it is slowed, not locked
# Anybody can spend the attempts of any name: it is slowed, not locked, and not at all in a browser of the person's own.
PER_NAME = Limit(50, 60)


class Attempts:
    """Counts failed attempts, each under several keys that have a limit each.

    Parameters
    ----------
    clock : callable
        Returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: OrderedDict[tuple[str, ...], tuple[int, float]] = OrderedDict()  # the newest failure last
        self._lock = threading.Lock()

    def begin(self, counted: Mapping[tuple[str, ...], Limit]) -> int:
        """Count an attempt as failed until it has succeeded: many at once are no way round a limit.

        Returns
        -------
        int
            0, or the seconds until the next attempt is looked at: then this one is not, nor counted.
        """
        now = self._clock()
        with self._lock:
            while self._failed and next(iter(self._failed.values()))[1] < now - _FORGET_SECONDS:
                self._failed.popitem(last=False)
            waits = [
                last + limit.wait(failed) - now
                for key, limit in counted.items()
                for failed, last in [self._failed.get(key, (0, now))]
            ]
            if (wait := max(waits)) > 0:
                return math.ceil(wait)
            for key in counted:
                self._failed[key] = self._failed.pop(key, (0, now))[0] + 1, now
        return 0

    def succeed(self, counted: Mapping[tuple[str, ...], Limit]) -> None:
        """Forget the failures under the first key, and that this attempt was counted under the others."""
        first, *others = counted
        with self._lock:
            self._failed.pop(first, None)
            for key in others:
                if key in self._failed:
                    failed, last = self._failed[key]
                    self._failed[key] = max(failed - 1, 0), last


def too_many(wait: int) -> Refused:
    """Return what is said to somebody who has to wait for the next attempt."""
    said = plural(wait, "second") if wait < 100 else plural(-(-wait // 60), "minute")
    return Refused(429, f"Too many attempts failed; try again in {said}.")


def network_of(address: str) -> str:
    """Return the visitor behind an address: with IPv6 each has a network of their own, not one address."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(known, ipaddress.IPv4Address):
        return str(known)
    # Where both are listened on, all of IPv4 is one network of IPv6.
    mapped = known.ipv4_mapped
    return str(ipaddress.ip_network((known, 64), strict=False)) if mapped is None else str(mapped)


class Ration:
    """Lets so much of something through in an hour, and counts the rest.

    Parameters
    ----------
    an_hour : int
        So much at once, too, after an hour without any.
    clock : callable
        Returns seconds.
    """

    def __init__(self, an_hour: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._an_hour = an_hour
        self._clock = clock
        self._left, self._at = float(an_hour), clock()
        self._kept_back = 0
        self._lock = threading.Lock()

    def take(self) -> int | None:
        """Return how many were kept back since the last that was let through; None where this one is kept back, too."""
        with self._lock:
            now = self._clock()
            self._left = min(self._an_hour, self._left + (now - self._at) * self._an_hour / 3600)
            self._at = now
            if self._left < 1:
                self._kept_back += 1
                return None
            self._left -= 1
            kept_back, self._kept_back = self._kept_back, 0
            return kept_back
