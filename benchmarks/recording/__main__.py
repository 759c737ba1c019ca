"""python -m benchmarks.recording [--rounds 2] [--rate 9000] [--seconds 2] [--json FILE]

One producer and one viewer, with and without a journal in turns. CPU is that of the engine's single
threads, by the kernel's count: what the packet thread does for a packet, received, decrypted,
forwarded and encrypted, and what the journal adds to it.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.capacity.__main__ import Child
from benchmarks.capacity.load import Load, Receivers, connect, packets, send
from benchmarks.figures import Conditions, save
from benchmarks.machine import machine_line

PACKETS, WRITER = "kelian-packets", "kelian-journal"


def threads_cpu_ns(pid: int) -> dict[str, int]:
    """By the thread's name."""
    told = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        told[(task / "comm").read_text().strip()] = int((task / "schedstat").read_text().split()[0])
    return told


def measure(load: Load, journal: str | None) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.capacity.engine", str(load.viewers)]
    child = Child(command if journal is None else [*command, journal])
    try:
        made = packets(load, encrypted=True)
        sender = connect(child.port, 0)
        receivers = Receivers(load, child.port, encrypted=True)
        before = threads_cpu_ns(child.process.pid)
        send(sender, made, load)
        receivers.stop()
        after = threads_cpu_ns(child.process.pid)
        stats = child.ask()["stats"]
        child.finish()  # in order: a killed one would leave its ring behind
    finally:
        child.end()
    received = stats["rtp_received"]
    return {
        "received": received,
        "kept": stats.get("journal_packets", 0),
        "dropped": stats.get("journal_dropped", 0),
        "packet_ns": (after[PACKETS] - before[PACKETS]) / received,
        "writer_ns": (after.get(WRITER, 0) - before.get(WRITER, 0)) / received,
    }


def median(rounds: list[dict[str, float]], figure: str) -> float:
    return statistics.median(result[figure] for result in rounds)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--rate", type=int, default=9000, help="packets a second of the producer")
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    conditions = Conditions()
    load = Load(1, given.rate, 1100, 300, given.seconds)

    without, recorded = [], []
    for _ in range(given.rounds):
        without.append(measure(load, None))
        with tempfile.TemporaryDirectory() as folder:
            recorded.append(measure(load, folder))
    plain_ns, with_ns = median(without, "packet_ns"), median(recorded, "packet_ns")
    figures: dict[str, Any] = {
        "packet_ns": round(plain_ns),
        "packet_recorded_ns": round(with_ns),
        "added_ns": round(with_ns - plain_ns),
        "writer_ns": round(median(recorded, "writer_ns")),
        "received": sum(result["received"] for result in recorded),
        "kept": sum(result["kept"] for result in recorded),
        "dropped": sum(result["dropped"] for result in recorded),
    }
    print(machine_line())
    print(f"1 viewer x {load.packets_per_s}/s of {load.payload_bytes} B, {given.rounds} rounds, medians")
    print(f"packet thread, not recorded {figures['packet_ns']:6} ns CPU per packet")
    print(f"packet thread, recorded     {figures['packet_recorded_ns']:6} ns CPU per packet")
    print(f"added by recording          {figures['added_ns']:6} ns")
    print(f"writer thread               {figures['writer_ns']:6} ns CPU per packet")
    print(f"kept {figures['kept']} of {figures['received']} packets, {figures['dropped']} dropped")
    if given.json:
        save(given.json, {**conditions.told(), "load": vars(load), "rounds": given.rounds, **figures})


if __name__ == "__main__":
    main()
