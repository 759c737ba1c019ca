"""What every handler needs, and how it finds it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from signaling.auth.keys import Keys
from signaling.config import Settings
from signaling.lessons.connection import Connection
from signaling.lessons.meters import Meters
from signaling.lessons.registry import Registry

if TYPE_CHECKING:
    from signaling.web.patience import Patience
    from signaling.web.throttle import Throttle


@dataclass
class Context:
    settings: Settings
    keys: Keys
    registry: Registry
    meters: Meters
    throttle: "Throttle"
    patience: "Patience"
    connections: set[Connection]


CONTEXT: web.AppKey[Context] = web.AppKey("context", Context)


def context(request: web.Request) -> Context:
    return request.app[CONTEXT]
