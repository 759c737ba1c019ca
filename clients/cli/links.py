"""Links that open a lesson: https://HOST:PORT/#/join/TOKEN. The token is in the fragment, so that it
is in no server's log."""

from urllib.parse import quote, unquote, urlsplit

from clients.cli.errors import BAD_CONFIGURATION, Problem

_MARK = "/join/"


def join_link(url: str, token: str) -> str:
    return f"{url.rstrip('/')}/#{_MARK}{quote(token, safe='')}"


def parse(url: str, token: str | None) -> tuple[str, str]:
    """(server, token) from a link, or from a server's address and a token. Raises Problem."""
    parts = urlsplit(url if "://" in url else f"https://{url}")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise Problem(BAD_CONFIGURATION, f"“{url}”不是网址", f"{url!r} is not the address of a server")
    if token is None and parts.fragment.startswith(_MARK):
        token = unquote(parts.fragment.removeprefix(_MARK))
    if not token:
        raise Problem(
            BAD_CONFIGURATION,
            "缺少入课凭证：请用 --token，或给出完整的入课链接",
            "no token: give --token, or a whole link with #/join/TOKEN",
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}", token


def for_people(host: str, port: int, *, secure: bool, addresses: list[str]) -> list[str]:
    """Addresses of the server to show: this machine's first, then those of the network."""
    scheme = "https" if secure else "http"
    everywhere = host in ("0.0.0.0", "::")
    hosts = ["localhost", *addresses] if everywhere else [host]
    return [f"{scheme}://{f'[{name}]' if ':' in name else name}:{port}" for name in hosts]
