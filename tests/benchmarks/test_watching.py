"""Gaps between pictures, as the benchmarks count them."""

from benchmarks.watching import Picture, longest_gap_s


def seen_at(*moments_s: float) -> list[Picture]:
    return [Picture(moment_s, sender=11, age_s=0.05) for moment_s in moments_s]


def test_a_gap_that_reaches_over_an_edge_counts_whole() -> None:
    pictures = seen_at(0, 1, 4, 5, 10, 11)
    assert longest_gap_s(pictures, 0, 11) == 5
    assert longest_gap_s(pictures, 0, 5) == 3
    assert longest_gap_s(pictures, 2, 3) == 3
    assert longest_gap_s(pictures, 4, 5) == 1


def test_pictures_that_never_come_are_a_gap() -> None:
    assert longest_gap_s(seen_at(0, 1), 0, 5) == 4
    assert longest_gap_s(seen_at(4, 5), 0, 5) == 4
    assert longest_gap_s(seen_at(1, 2), 3, 5) == 3
    assert longest_gap_s([], 2, 5) == 3
