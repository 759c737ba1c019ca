"""The Python SDK: join a lesson, publish, subscribe, follow its log (docs/sdk.md).

    from clients import python as kelian

    async with kelian.join("https://localhost:7880", token, verify_tls=False) as lesson: ...

It knows of the server only the protocol and the log's types (signaling.protocol, signaling.log).
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clients.python.errors import ConnectionLost, Dismissed, KelianError, Refused
    from clients.python.lesson import Lesson, join
    from clients.python.peer import Media
    from clients.python.slots import Slot

__all__ = ["ConnectionLost", "Dismissed", "KelianError", "Lesson", "Media", "Refused", "Slot", "join"]

_HOMES = {"Lesson": "lesson", "join": "lesson", "Media": "peer", "Slot": "slots"}


def __getattr__(name: str) -> Any:
    """Loaded when first asked for: aiortc takes half a second, and not all of this package needs it."""
    if name not in __all__:
        raise AttributeError(name)
    return getattr(importlib.import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)
