"""`python -m mediaserver`: one media node as a process of its own."""

import argparse
import asyncio
import logging
import os
import signal
import sys

import structlog
import uvloop

from mediaserver._engine import Engine
from mediaserver.addresses import announced_addresses, local_addresses
from mediaserver.channel.address import SECRET_VARIABLE
from mediaserver.node import Node


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mediaserver", description="Kelian's media node")
    parser.add_argument(
        "--channel", required=True, help="unix:/PATH or tcp:HOST:PORT, where signaling connects"
    )
    parser.add_argument(
        "--bind",
        action="append",
        metavar="ADDRESS:PORT",
        help="UDP address for media, may be repeated (default: 0.0.0.0:7882 and [::]:7882)",
    )
    parser.add_argument(
        "--announce",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="address under which peers reach this node, may be repeated; local ones are announced too",
    )
    parser.add_argument(
        "--secret",
        default=os.environ.get(SECRET_VARIABLE, ""),
        help=f"what signaling has to know to connect (default: ${SECRET_VARIABLE})",
    )
    parser.add_argument(
        "--journals", metavar="DIR", help="folder for what is recorded (default: nothing can be)"
    )
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    return parser.parse_args()


async def serve(options: argparse.Namespace) -> None:
    """Runs until SIGTERM or SIGINT. Raises OSError or ValueError when an address is no good."""
    bind = options.bind or ["0.0.0.0:7882", "[::]:7882"]
    candidates = announced_addresses(bind, options.announce, local_addresses())
    node = Node(
        Engine(bind, options.journals),
        options.channel,
        candidates=candidates,
        secret=options.secret,
        journals=options.journals is not None,
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await node.start()
    structlog.get_logger("node").info("ready", channel=options.channel, bind=bind, candidates=candidates)
    await stop.wait()
    await node.close()


def main() -> int:
    options = arguments()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, options.log_level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        uvloop.run(serve(options))
    except (OSError, ValueError) as error:
        print(f"mediaserver: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
