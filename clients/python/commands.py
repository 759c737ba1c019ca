"""What a participant may ask for, as methods. Each waits for the server's answer.

When a method returns, the event that it made is in `Lesson.state`. A refusal is raised as Refused.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from signaling.log.events import Use
from signaling.protocol import requests as ask
from signaling.protocol.requests import AnyRequest


class Commands(ABC):
    participant: str
    state: dict[str, Any]

    @abstractmethod
    def _number(self) -> int:
        """A new request number."""

    @abstractmethod
    def _session(self) -> str:
        """The media session. Raises KelianError when none is open."""

    @abstractmethod
    async def command(self, request: AnyRequest) -> int:
        """Sends; returns the position of the event that it made (0: none), once that is folded in."""

    async def raise_hand(self) -> None:
        await self.command(ask.RaiseHand(req=self._number(), up=True))

    async def lower_hand(self, participant: str | None = None) -> None:
        """One's own, or as lecturer or tutor another's."""
        await self.command(ask.RaiseHand(req=self._number(), up=False, participant=participant))

    async def bring_up(self, participant: str) -> int:
        """Onto the stage; returns the stage pair in which everybody sees them."""
        await self.command(ask.BringUp(req=self._number(), participant=participant))
        return next(int(index) for index, who in self.state["stage"].items() if who == participant)

    async def take_down(self, participant: str | None = None) -> None:
        """From the stage: another, or oneself."""
        await self.command(ask.TakeDown(req=self._number(), participant=participant or self.participant))

    async def mute(self, use: Use, participant: str | None = None) -> None:
        await self._mute(use, participant, True)

    async def unmute(self, use: Use, participant: str | None = None) -> None:
        await self._mute(use, participant, False)

    async def spotlight(self, participant: str | None) -> None:
        await self.command(ask.Spotlight(req=self._number(), participant=participant))

    async def set_floor(self, open: bool) -> None:
        """With an open floor, the loudest off stage are heard."""
        await self.command(ask.SetFloor(req=self._number(), open=open))

    async def say(self, text: str, to: str | None = None) -> None:
        """Into the chat: to all, or to one participant."""
        await self.command(ask.Chat(req=self._number(), text=text, to=to))

    async def ask_quiz(self, question: str, options: Sequence[str], *, multiple: bool = False) -> int:
        """Returns the quiz's number."""
        request = ask.QuizAsk(req=self._number(), question=question, options=list(options), multiple=multiple)
        await self.command(request)
        return int(self.state["quiz"]["quiz"])

    async def answer_quiz(self, quiz: int, choices: Sequence[int]) -> None:
        await self.command(ask.QuizAnswer(req=self._number(), quiz=quiz, choices=list(choices)))

    async def close_quiz(self, quiz: int) -> None:
        await self.command(ask.QuizClose(req=self._number(), quiz=quiz))

    async def mark(self, label: str = "") -> None:
        await self.command(ask.Mark(req=self._number(), label=label))

    async def record(self, on: bool) -> None:
        """Begins to keep what is sent in the lesson, or ends that; everybody is told."""
        await self.command(ask.Record(req=self._number(), on=on))

    async def end_lesson(self) -> None:
        await self.command(ask.EndLesson(req=self._number()))

    async def show_layers(self, heights: Mapping[str, int]) -> None:
        """At which height in pixels each video slot is shown; 0: not shown."""
        await self.command(ask.Layers(req=self._number(), session=self._session(), heights=dict(heights)))

    async def mend(self, slot: str) -> None:
        """Nothing arrives in this slot although it should: the server asks for a key frame."""
        await self.command(ask.Mend(req=self._number(), session=self._session(), slot=slot))

    async def _mute(self, use: Use, participant: str | None, muted: bool) -> None:
        who = participant or self.participant
        await self.command(ask.Mute(req=self._number(), participant=who, use=use, muted=muted))
