"""Many at once, in a small edition of `python -m benchmarks.control`."""

from benchmarks.control.__main__ import TALLY_BOUND_S, measure, tally_delay


async def test_many_join_raise_hands_and_answer_within_two_seconds() -> None:
    result = await measure(200)
    assert result["tally_delay_ms"]["max"] < TALLY_BOUND_S * 1000
    phases = {it["name"]: it for it in result["phases"]}
    # A hand reaches its owner, staff and nobody else; a line of chat is encoded once for all.
    assert phases["hand each"]["sent_messages"] < 200 * 4
    assert phases["8 chat lines"]["sent_messages"] >= 200 * 8
    assert phases["8 chat lines"]["encoded_messages"] < 100


def test_the_tallys_delay_is_that_of_the_oldest_answer_it_lacks() -> None:
    tallies = [(0.0, 0), (1.0, 1), (1.5, 3)]
    assert tally_delay([0.9, 1.1, 1.4], tallies) == {"p50": 100.0, "p99": 400.0, "max": 400.0}
