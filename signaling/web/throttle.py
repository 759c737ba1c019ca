"""How often one address may ask over HTTP, and which address that is behind a proxy."""

from ipaddress import IPv6Address, ip_address

from aiohttp import web

from signaling.config import Rate
from signaling.lessons.rates import Bucket

MOST = 50_000  # addresses remembered at once


class Throttle:
    def __init__(self, rate: Rate, trusted_proxies: tuple[str, ...]) -> None:
        self._rate = rate
        self._trusted = frozenset(trusted_proxies)
        self._buckets: dict[str, Bucket] = {}

    def address(self, request: web.Request) -> str:
        """The client's address: the last hop that is no proxy of ours (RFC 7239's spirit)."""
        address = request.remote or ""
        if address not in self._trusted:
            return address
        hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
        return next((hop for hop in reversed(hops) if hop not in self._trusted), address)

    def scheme(self, request: web.Request) -> str:
        if (request.remote or "") in self._trusted:
            return request.headers.get("X-Forwarded-Proto", request.scheme)
        return request.scheme

    def take(self, address: str, now: float) -> float:
        """0.0 if this address may ask now, otherwise in how many seconds it may."""
        whose = _subscriber(address)
        bucket = self._buckets.get(whose)
        if bucket is None:
            if len(self._buckets) >= MOST:
                self._forget(now)
            bucket = self._buckets[whose] = Bucket(self._rate, now)
        return bucket.take(now)

    def _forget(self, now: float) -> None:
        self._buckets = {address: it for address, it in self._buckets.items() if it.full_at > now}
        if len(self._buckets) >= MOST:
            self._buckets.clear()


def _subscriber(address: str) -> str:
    """One line to the Internet: an IPv4 address, or the 2^64 addresses that an IPv6 line brings."""
    try:
        known = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(known, IPv6Address):
        return address
    return str(known.ipv4_mapped or IPv6Address(int(known) >> 64 << 64))
