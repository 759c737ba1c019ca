"""Who plays in the demo: what `kelian demo` tells the process of its bots."""

import msgspec

VARIABLE = "KELIAN_DEMO"  # of the environment, where the cast is given as JSON


class Cast(msgspec.Struct, frozen=True):
    """Who plays in which lesson: names and tokens, and the API key that makes lessons."""

    url: str
    lesson: str
    title: str
    authorization: dict[str, str]  # the API key's header
    lecturer: tuple[str, str]
    students: list[tuple[str, str]]
    marked: bool = False  # for tests: pictures that say who sent them
