"""`python -m signaling --config-json '{...}'`: the signaling process (signaling/config.py)."""

import argparse
import asyncio
import logging
import os
import signal
import sys

import msgspec
import structlog
import uvloop

from mediaserver.channel.address import SECRET_VARIABLE
from signaling.config import BadSettings, Settings, parse_settings
from signaling.errors import KelianError
from signaling.web.app import Server

USAGE_ERROR = 2
CANNOT_START = 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m signaling", description=__doc__)
    parser.add_argument("--config-json", default="{}", help="settings, as in signaling/config.py")
    arguments = parser.parse_args()
    try:
        settings = parse_settings(arguments.config_json)
    except BadSettings as error:
        print(error, file=sys.stderr)
        return USAGE_ERROR
    if not settings.node_secret:  # arguments are for all to see
        secret = os.environ.get(SECRET_VARIABLE, "")
        settings = msgspec.structs.replace(settings, node_secret=secret)
    _set_up_log(settings)
    try:
        uvloop.run(_serve(settings))
    except (BadSettings, KelianError) as error:
        print(f"signaling cannot start: {error}", file=sys.stderr)
        return CANNOT_START
    except OSError as error:
        print(f"signaling cannot listen on {settings.host}:{settings.port}: {error}", file=sys.stderr)
        return CANNOT_START
    return 0


async def _serve(settings: Settings) -> None:
    """Until SIGTERM or SIGINT: then clients are sent to reconnect, and what was decided is on disk."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Server(settings) as server:
        structlog.get_logger("signaling").info("listening", url=server.url)
        await stop.wait()


def _set_up_log(settings: Settings) -> None:
    """One JSON object a line on stderr. What strangers send that is no HTTP gets a 400, and no line."""
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.log_level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


if __name__ == "__main__":
    sys.exit(main())
