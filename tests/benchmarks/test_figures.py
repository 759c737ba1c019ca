"""What the benchmarks say of what they measured."""

from benchmarks.figures import spread, table


def test_a_spread_names_values_that_were_measured() -> None:
    assert spread([]) == {"n": 0}
    assert spread([0.25]) == {"n": 1, "median": 0.25, "p90": 0.25, "max": 0.25}
    assert spread(range(10, 0, -1)) == {"n": 10, "median": 5, "p90": 9, "max": 10}
    assert spread(range(1, 12)) == {"n": 11, "median": 6, "p90": 10, "max": 11}


def test_a_table_leaves_open_what_was_not_measured() -> None:
    assert table([("a", spread([1.0])), ("b", spread([]))], "seconds").splitlines() == [
        "| seconds | n | median | p90 | max |",
        "|---|---|---|---|---|",
        "| a | 1 | 1.0 | 1.0 | 1.0 |",
        "| b | 0 |  |  |  |",
    ]
