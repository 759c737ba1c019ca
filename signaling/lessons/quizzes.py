"""The question that is open: single answers go to a table, totals to presence and to the log.

A thousand answers are a thousand rows in few commits, and one number per option for those who
teach: four times a second as presence, once a second as an event.
"""

from signaling.lessons.pace import Pace
from signaling.lessons.pipeline import Done, Pipeline, utc_ms
from signaling.lessons.presence import Presence
from signaling.log.commands import SYSTEM, Actor, CloseQuiz
from signaling.log.commands import Tally as TallyCommand
from signaling.log.decide import Refusal, check_answer
from signaling.log.roles import RIGHTS
from signaling.log.tally import Tally
from signaling.protocol import requests as rq
from signaling.stores import LessonStore, StoreError

EVENT_S = 1.05  # between tallies in the log: a little over the second that the rules ask for


class Quizzes:
    def __init__(self, log_id: str, pipeline: Pipeline, tally: Tally | None, store: LessonStore) -> None:
        """`tally` holds the answers to the last question so far."""
        self._log = log_id
        self._pipeline = pipeline
        last = pipeline.state.quiz
        # By the question's number: the newest, and the one before in case the newest is not kept.
        self._tallies = {last.quiz: tally} if last is not None and tally is not None else {}
        self._store = store
        self._pace = Pace(EVENT_S, self._log_tally)

    def close(self) -> None:
        self._pace.cancel()

    def open_tally(self) -> tuple[int, Tally] | None:
        """The open question and its answers so far."""
        quiz = self._pipeline.committed.quiz
        tally = self._tallies.get(quiz.quiz) if quiz is not None and quiz.open else None
        return (quiz.quiz, tally) if quiz is not None and tally is not None else None

    async def answers_of(self, actor: Actor) -> dict[int, list[int]]:
        """quiz -> what this participant chose. Raises StoreError."""
        if not self._pipeline.state.quizzes or "quiz_answer" not in RIGHTS[actor.role].may:
            return {}
        return await self._store.answers_of(self._log, actor.participant)

    def with_newest(self, answers: dict[int, list[int]], participant: str) -> dict[int, list[int]]:
        """`answers` were read a moment ago; another page may have answered since."""
        quiz = self._pipeline.state.quiz
        tally = self._tallies.get(quiz.quiz) if quiz is not None else None
        chosen = tally.choices(participant) if tally is not None else None
        return {**answers, quiz.quiz: list(chosen)} if quiz is not None and chosen is not None else answers

    def ask(self, actor: Actor, ask: rq.QuizAsk, done: Done) -> None:
        before = self._pipeline.state.quiz
        self._pipeline.submit(actor, ask, done)
        quiz = self._pipeline.state.quiz
        if quiz is not None and quiz is not before:
            kept = {number: it for number, it in self._tallies.items() if number == quiz.quiz - 1}
            self._tallies = {**kept, quiz.quiz: Tally(len(quiz.options))}

    async def answer(self, actor: Actor, answer: rq.QuizAnswer, presence: Presence) -> Refusal | None:
        """Keeps one answer; returns when it is kept. Raises StoreError."""
        refusal = check_answer(self._pipeline.state, actor, answer)
        if refusal is not None:
            return refusal
        tally = self._tallies[answer.quiz]  # made with the question that check_answer found open
        before = tally.choices(actor.participant)
        tally.answer(actor.participant, answer.choices)
        presence.tally()
        self._pace.poke()
        try:
            await self._store.answer(self._log, answer.quiz, actor.participant, answer.choices, utc_ms())
        except StoreError:
            if tally.choices(actor.participant) == tuple(answer.choices):  # and no newer one has come
                tally.answer(actor.participant, before)
                presence.tally()
            raise
        return None

    def close_quiz(self, actor: Actor, quiz: int, done: Done) -> None:
        tally = self._tallies.get(quiz)
        counts, answered = (tally.counts, tally.answered) if tally is not None else ((), 0)
        self._pipeline.submit(actor, CloseQuiz(quiz=quiz, counts=counts, answered=answered), done)

    def close_open(self) -> None:
        """Before the lesson's end, whoever ends it, so that the log has the exact totals."""
        quiz = self._pipeline.state.quiz
        if quiz is not None and quiz.open:
            self.close_quiz(SYSTEM, quiz.quiz, lambda outcome: None)

    def _log_tally(self) -> None:
        open_quiz = self.open_tally()
        if open_quiz is not None:
            quiz, tally = open_quiz
            command = TallyCommand(quiz=quiz, counts=tally.counts, answered=tally.answered)
            self._pipeline.submit(SYSTEM, command, lambda outcome: None)
