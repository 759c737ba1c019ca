"""The answers to one quiz, counted as they come: constant work per answer."""

from collections.abc import Mapping, Sequence


class Tally:
    """Totals of the newest answer of each participant."""

    def __init__(self, options: int, answers: Mapping[str, Sequence[int]] | None = None) -> None:
        self._counts = [0] * options
        self._answers: dict[str, tuple[int, ...]] = {}
        for participant, choices in (answers or {}).items():
            self.answer(participant, choices)

    def answer(self, participant: str, choices: Sequence[int] | None) -> None:
        """Counts an answer that `check_answer` let pass, in place of an earlier one; None takes it back."""
        for choice in self._answers.get(participant, ()):
            self._counts[choice] -= 1
        if choices is None:
            self._answers.pop(participant, None)
            return
        for choice in choices:
            self._counts[choice] += 1
        self._answers[participant] = tuple(choices)

    @property
    def counts(self) -> tuple[int, ...]:
        return tuple(self._counts)

    @property
    def answered(self) -> int:
        return len(self._answers)

    def choices(self, participant: str) -> tuple[int, ...] | None:
        return self._answers.get(participant)
