"""The engine's process: nothing but an Engine with one producer and a slot for each viewer."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from mediaserver._engine import Engine

from .load import GCM, PAYLOAD_TYPE, SLOT_SSRC, SOURCE, SSRC, credentials, key


@dataclass
class Producer:
    source: int = SOURCE
    group: int = 1
    kind: Literal["audio", "video"] = "video"
    codec: Literal["opus", "h264", "vp8"] = "h264"
    clock_rate: int = 90000
    mid: str = "0"
    payload_type: int = PAYLOAD_TYPE
    rtx_payload_type: int | None = None
    ssrcs: Sequence[int] = (SSRC,)
    rtx_ssrcs: Mapping[int, int] = field(default_factory=dict)
    rids: Sequence[str] = ()
    extensions: Mapping[str, int] = field(default_factory=dict)
    nack: bool = True
    pli: bool = True
    fir: bool = False
    twcc: bool = False


@dataclass
class Slot:
    ssrc: int
    mid: str = "0"
    kind: Literal["audio", "video"] = "video"
    codec: Literal["opus", "h264", "vp8"] = "h264"
    clock_rate: int = 90000
    payload_type: int = PAYLOAD_TYPE
    rtx_payload_type: int | None = 97
    rtx_ssrc: int | None = None
    cname: str = "kelian"
    extensions: Mapping[str, int] = field(default_factory=lambda: {"mid": 1})
    nack: bool = True


def run(viewers: int, journal: str | None) -> None:
    """Prints the port; then, for each line on standard input, CPU time and counters.

    `journal`: a folder to record into.
    """
    engine = Engine(["127.0.0.1:0"], journal)
    for transport in range(viewers + 1):
        ufrag, password = credentials(transport)
        engine.open_transport(
            transport, local_ufrag=ufrag, local_pwd=password, remote_ufrag="client", remote_pwd=password
        )
        engine.set_srtp(transport, GCM, key(transport, False), key(transport, True))
        if transport:
            engine.open_slot(transport, Slot(ssrc=SLOT_SSRC + transport, rtx_ssrc=0x33333333 + transport))
    engine.open_producer(0, Producer())
    if journal is not None:
        engine.record(SOURCE, "lesson/benchmark.pcapng", "use=camera")
    engine.assign([(transport, "0", SOURCE) for transport in range(1, viewers + 1)])
    print(engine.port, flush=True)
    for _ in sys.stdin:
        engine.take_events()
        print(json.dumps({"cpu_ns": time.process_time_ns(), "stats": engine.stats()}), flush=True)
    engine.close()


if __name__ == "__main__":
    run(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
