from clients.python.backoff import Backoff


def test_waits_grow_to_a_limit_and_are_short_again_after_calm() -> None:
    backoff = Backoff(first_s=1, most_s=5, calm_s=30)
    waits = []
    for now_s in range(4):
        backoff.up(now_s)
        waits.append(backoff.down(now_s + 0.5))
    assert waits == [1, 2, 4, 5]
    backoff.up(100)
    assert backoff.down(129) == 5
    backoff.up(200)
    assert backoff.down(230) == 1
    assert backoff.down(231) == 2  # never came up
