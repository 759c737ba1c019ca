"""What all benchmarks share in telling their figures: spreads, tables, and the file that is kept."""

import json
import math
import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.machine import machine

Spread = dict[str, float]


class Conditions:
    """Made before a benchmark begins, told after it: a busy machine explains odd figures.

    The load is the average of one minute, and after the benchmark holds what that was itself.
    """

    def __init__(self) -> None:
        self._date = datetime.now(UTC)
        self._load = os.getloadavg()[0]

    def told(self) -> dict[str, Any]:
        return {
            "date": self._date.strftime("%Y-%m-%dT%H:%MZ"),
            "load_before": round(self._load, 2),
            "load_after": round(os.getloadavg()[0], 2),
            "machine": machine(),
        }


def spread(values: Iterable[float], digits: int = 3) -> Spread:
    """How many, median, 90th percentile (nearest rank) and maximum; {"n": 0} of nothing."""
    ordered = sorted(values)
    if not ordered:
        return {"n": 0}
    told = {
        "median": ordered[(len(ordered) - 1) // 2],
        "p90": ordered[math.ceil(len(ordered) * 0.9) - 1],
        "max": ordered[-1],
    }
    return {"n": len(ordered), **{name: round(value, digits) for name, value in told.items()}}


def table(rows: Sequence[tuple[str, Spread]], unit: str) -> str:
    """A Markdown table of spreads."""
    lines = [f"| {unit} | n | median | p90 | max |", "|---|---|---|---|---|"]
    for name, it in rows:
        cells = [str(it.get(column, "")) for column in ("n", "median", "p90", "max")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def save(path: Path, result: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
