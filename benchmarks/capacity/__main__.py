"""python -m benchmarks.capacity [--viewers 50] [--rate 900] [--seconds 5] [--json FILE]"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.machine import machine, machine_line

from .load import Load, Receivers, connect, connect_plain, packets, send

FLOOR = Path(__file__).with_name("floor.c")


class Child:
    """A forwarder's process: it prints its port first."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self._read())

    def ask(self) -> dict[str, Any]:
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._read())
        return answer

    def cpu_ns(self) -> int:
        """Of its one thread."""
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[0])

    def finish(self) -> None:
        """Lets it come to its end."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()

    def _read(self) -> str:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.process.args!r} ended")
        return line


def measure_engine(load: Load) -> dict[str, Any]:
    child = Child([sys.executable, "-m", "benchmarks.capacity.engine", str(load.viewers)])
    try:
        made = packets(load, encrypted=True)
        sender = connect(child.port, 0)
        receivers = Receivers(load, child.port, encrypted=True)
        before = child.ask()
        send(sender, made, load)
        arrived = receivers.stop()
        after = child.ask()
    finally:
        child.end()
    result = _result(load, arrived, after["cpu_ns"] - before["cpu_ns"])
    counters = ["io_send_calls", "io_receive_calls", "io_send_full", "io_send_errors", "rtp_received"]
    return result | {name: after["stats"][name] - before["stats"][name] for name in counters}


def measure_floor(load: Load) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/floor"
        subprocess.run(["cc", "-O2", "-o", program, str(FLOOR)], check=True)
        child = Child([program])
        try:
            made = packets(load, encrypted=False)
            receivers = Receivers(load, child.port, encrypted=False)
            sender = connect_plain(child.port)
            before = child.cpu_ns()
            send(sender, made, load)
            arrived = receivers.stop()
            used = child.cpu_ns() - before
        finally:
            child.end()
    return _result(load, arrived, used)


def _result(load: Load, arrived: dict[str, int], cpu_ns: int) -> dict[str, Any]:
    expected = load.frames * load.packets_per_frame * load.viewers
    return {
        "delivered": arrived["packets"],
        "expected": expected,
        "good_viewers": arrived["good_viewers"],
        "cpu_ns_per_delivered": round(cpu_ns / max(1, arrived["packets"])),
        "cores": round(cpu_ns / (load.seconds * 1e9), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument("--rate", type=int, default=900, help="packets a second of the producer")
    parser.add_argument("--frames", type=int, default=30, help="frames (bursts) a second")
    parser.add_argument("--payload", type=int, default=1100, help="bytes")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    load = Load(given.viewers, given.rate, given.payload, given.frames, given.seconds)

    results = {"engine": measure_engine(load), "floor": measure_floor(load)}
    ratio = results["engine"]["cpu_ns_per_delivered"] / results["floor"]["cpu_ns_per_delivered"]
    report = {"machine": machine(), "load": vars(load), "engine_over_floor": round(ratio, 2)} | results
    print(machine_line())
    print(
        f"{load.viewers} viewers x {load.packets_per_s}/s of {load.payload_bytes} B in bursts of "
        f"{load.packets_per_frame}, AEAD_AES_128_GCM, receivers in epoll without GRO, loopback"
    )
    for name, result in results.items():
        print(
            f"{name:7} {result['cpu_ns_per_delivered']:6} ns CPU per delivered packet, "
            f"{result['cores']:.3f} cores, {result['delivered']}/{result['expected']} delivered, "
            f"{result['good_viewers']}/{load.viewers} viewers verified"
        )
    print(f"engine / floor (no SRTP, C, GRO in, GSO out): {ratio:.2f}")
    if given.json:
        given.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
