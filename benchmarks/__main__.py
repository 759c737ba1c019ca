"""python -m benchmarks [NAME …] [--full]: all benchmarks, or those named, one after the other.

Short settings by default, all in under three minutes: does it still work, is anything wildly off? With
`--full`, the settings whose figures are kept in benchmarks/results/NAME.json and benchmarks/README.md;
for a machine on which nothing else runs.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Conditions, save

RESULTS = Path(__file__).with_name("results")


@dataclass(frozen=True)
class Settings:
    short: str
    full: str


BENCHMARKS = {
    "capacity": Settings("--viewers 20 --seconds 3", "--viewers 50 --seconds 10"),
    "control": Settings("--clients 300", "--clients 1000"),
    "join": Settings("--rounds 50", "--rounds 500"),
    "recording": Settings("--rounds 2 --seconds 2", "--rounds 10 --seconds 5"),
    "recovery": Settings("--kills 1 --subscribers 3 --apart 16", "--kills 10 --subscribers 4"),
    "switching": Settings("--swaps 6 --subscribers 3", "--swaps 30 --subscribers 4"),
}


def run(name: str, *, full: bool) -> bool:
    """Prints its table, or what went wrong; True if it went well."""
    settings, kept = BENCHMARKS[name], RESULTS / f"{name}.json"
    command = [sys.executable, "-W", "ignore", "-m", f"benchmarks.{name}"]
    if full:
        RESULTS.mkdir(exist_ok=True)
        command += [*settings.full.split(), "--json", str(kept)]
    else:
        command += settings.short.split()
    conditions = Conditions()
    print(f"\n## {name}\n", flush=True)
    began_s = time.monotonic()
    well = subprocess.run(command, check=False).returncode == 0
    if full and well:
        save(kept, {"benchmark": name, **conditions.told(), **json.loads(kept.read_text())})
    print(f"\n({'done' if well else 'FAILED'} in {time.monotonic() - began_s:.0f} s)", flush=True)
    return well


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--full", action="store_true")
    given = parser.parse_args()
    if unknown := set(given.names) - set(BENCHMARKS):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    went_well = [run(name, full=given.full) for name in given.names or BENCHMARKS]
    return 0 if all(went_well) else 1


if __name__ == "__main__":
    sys.exit(main())
