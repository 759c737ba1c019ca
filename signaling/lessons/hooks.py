"""What a running lesson tells those around it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from signaling.lessons.connection import Connection
from signaling.log.plan import Plan

if TYPE_CHECKING:
    from signaling.lessons.lesson import RunningLesson


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """The registry and the media listen; none of them may wait."""

    planned: Callable[["RunningLesson", Plan], None]
    left: Callable[["RunningLesson", str], None]
    ended: Callable[["RunningLesson"], None]
    voided: Callable[["RunningLesson"], None]
    failed: Callable[["RunningLesson"], None]
    live: Callable[[int], bool]
    claim: Callable[["RunningLesson", Connection, str], bool]
    recording: Callable[["RunningLesson"], None]
