"""Limits how many wrong tokens one address may send."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict, deque

FAILURES_MAX = 10
"""Wrong tokens of one address within the window. Further ones are not compared."""

WINDOW_S = 60.0

ADDRESSES_MAX = 10_000
"""Most addresses that are remembered."""

_IPV6_NETWORK_BITS = 64
"""What one subscriber of a network usually has."""


class FailureLimit:
    """Counts the failures of each address. Times are Unix times in seconds, passed in."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, address: str, now: float) -> float:
        """Seconds until the address may try again. 0 when it may now."""
        times = self._failures.get(network(address))
        if times is None or len(times) < FAILURES_MAX:
            return 0.0
        wait_s = times[0] + WINDOW_S - now
        # A clock that was set back locks no caller out.
        return wait_s if 0 < wait_s <= WINDOW_S else 0.0

    def note(self, address: str, now: float) -> None:
        """Counts a failure. The addresses that failed longest ago are forgotten."""
        name = network(address)
        times = self._failures.setdefault(name, deque(maxlen=FAILURES_MAX))
        times.append(now)
        self._failures.move_to_end(name)
        while len(self._failures) > ADDRESSES_MAX:
            self._failures.popitem(last=False)


def network(address: str) -> str:
    """What is counted together: an IPv4 address, or the /64 of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), _IPV6_NETWORK_BITS), strict=False))
