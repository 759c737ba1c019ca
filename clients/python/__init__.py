"""The Python SDK: join a lesson, publish, subscribe, follow its log (docs/sdk.md).

    from clients import python as kelian

    async with kelian.join("https://localhost:7880", token, verify_tls=False) as lesson: ...

It knows of the server only the protocol and the log's types (signaling.protocol, signaling.log).
"""

from clients.python.errors import ConnectionLost, Dismissed, KelianError, Refused
from clients.python.lesson import Lesson, join
from clients.python.peer import Media
from clients.python.slots import Slot

__all__ = ["ConnectionLost", "Dismissed", "KelianError", "Lesson", "Media", "Refused", "Slot", "join"]
