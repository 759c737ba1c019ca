"""Clocks that drift, jump, are wrong by years, or say nothing: each moment is found within 40 ms."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from mediaserver.journal.packets import Key, scan
from mediaserver.journal.timeline import clocks
from tests.mediaserver import journals
from tests.mediaserver.journals import START_NS, Wire

VOICE, PICTURE = Key(6, 0x22), Key(5, 0x11)
LIP_SYNC_S = 0.04


def voice(**how: float) -> Wire:
    return Wire(0x22, 111, 48_000, sequence=5, timestamp=90_000, seed=2, **how)  # type: ignore[arg-type]


def picture(**how: float) -> Wire:
    return Wire(0x11, 102, 90_000, sequence=5, timestamp=7_000, seed=3, **how)  # type: ignore[arg-type]


def talk(wire: Wire, from_s: int, to_s: int, per_s: int = 5) -> None:
    for number in range(from_s * per_s, to_s * per_s):
        wire.send(number / per_s, [b"x"])


def errors_s(
    folder: Path, wires: Sequence[Wire], moments: Sequence[float], same: bool = True
) -> dict[Key, list[float]]:
    """For each stream, how far from the truth each moment (seconds after START_NS) is placed."""
    names = {0x11: ("h264", 5), 0x22: ("opus", 6)}
    sendings = [journals.sending(names[wire.ssrc][1], wire, names[wire.ssrc][0], "") for wire in wires]
    found: dict[Key, list[float]] = {}
    with scan([journals.write(folder, sendings)]) as journal:
        sessions = dict.fromkeys(journal.streams, "one") if same else {}
        times = clocks(journal.streams.values(), sessions)
        for wire in wires:
            key = Key(names[wire.ssrc][1], wire.ssrc)
            stream = journal.streams[key]
            found[key] = []
            for moment in moments:
                near = int(stream.timestamps[0])
                timestamp = wire.ticks(moment)
                timestamp = near + (timestamp - near) % (1 << 32)
                found[key].append((times[key].utc_ns(timestamp) - START_NS) / 1e9 - moment)
    return found


def apart(errors: dict[Key, list[float]]) -> float:
    """The worst lip sync."""
    return max(abs(a - b) for a, b in zip(errors[VOICE], errors[PICTURE], strict=True))


def test_drift_is_followed_over_an_hour(tmp_path: Path) -> None:
    wires = [voice(ppm=100), picture(ppm=-20, delay_ms=60)]
    for wire in wires:
        talk(wire, 0, 3600, per_s=2)
    errors = errors_s(tmp_path, wires, [0, 10, 600, 1800, 3599])
    assert apart(errors) < 0.005
    assert all(0.015 < error < 0.035 for error in errors[VOICE])  # the way to the node, which none can see


def test_a_sender_whose_time_is_wrong_by_years(tmp_path: Path) -> None:
    wires = [voice(ntp_ahead_s=-1.2e9), picture(ntp_ahead_s=-1.2e9, delay_ms=120)]
    for wire in wires:
        talk(wire, 0, 100)
    errors = errors_s(tmp_path, wires, [0, 50, 99])
    assert apart(errors) < 0.005
    assert all(abs(error) < 0.05 for of_stream in errors.values() for error in of_stream)


def test_a_senders_clock_that_drifts_from_ours(tmp_path: Path) -> None:
    """Its reports follow its own clock: timestamps and NTP are both fast."""
    wires = [voice(ppm=200), picture(ppm=200)]
    for wire in wires:
        wire.ntp_ppm = 200
        talk(wire, 0, 1800, per_s=2)
    errors = errors_s(tmp_path, wires, [0, 900, 1799])
    assert apart(errors) < 0.005
    assert all(abs(error) < 0.04 for error in errors[VOICE])


def test_without_reports_arrival_says_when(tmp_path: Path) -> None:
    wires = [voice(reports_every_s=0, ppm=100), picture(reports_every_s=0)]
    for wire in wires:
        talk(wire, 0, 1800, per_s=2)
    errors = errors_s(tmp_path, wires, [0, 900, 1799])
    assert apart(errors) < LIP_SYNC_S
    assert all(abs(error) < 0.05 for of_stream in errors.values() for error in of_stream)


@pytest.mark.parametrize("every_s", [1.0, 0])
def test_a_timestamp_that_stands_still_while_muted(tmp_path: Path, every_s: float) -> None:
    """Senders may count the samples that they send, not those that they do not."""
    quiet, wire = voice(reports_every_s=every_s), picture()
    talk(wire, 0, 120)
    talk(quiet, 0, 40)
    quiet.timestamp -= 20 * 48_000
    talk(quiet, 60, 120)
    errors = errors_s(tmp_path, [quiet, wire], [60, 80, 119])
    assert apart(errors) < LIP_SYNC_S
    quiet.timestamp += 20 * 48_000
    before = errors_s(tmp_path, [quiet, wire], [0, 20, 39])
    assert apart(before) < LIP_SYNC_S


def test_a_short_jump_is_seen_in_reports(tmp_path: Path) -> None:
    quiet, wire = voice(), picture()
    talk(wire, 0, 120)
    talk(quiet, 0, 90)
    quiet.timestamp -= round(0.1 * 48_000)
    talk(quiet, 90, 120)
    errors = errors_s(tmp_path, [quiet, wire], [92, 105, 119])
    assert apart(errors) < LIP_SYNC_S


def test_what_comes_between_two_queues_is_in_step(tmp_path: Path) -> None:
    """Each holds everything for half a second; no report falls between them."""
    wires = [voice(reports_every_s=10), picture(reports_every_s=10)]
    for wire in wires:
        talk(wire, 0, 60, per_s=20)
        for at, arrival in enumerate(wire.arrivals):
            for held_s in (21.0, 22.0) if wire.ssrc == 0x22 else ():
                if held_s - 0.5 < (arrival.at_ns - START_NS) / 1e9 < held_s + 0.3:
                    late_s = 0.5 if (arrival.at_ns - START_NS) / 1e9 > held_s else 1.0
                    wire.arrivals[at] = arrival._replace(at_ns=arrival.at_ns + round(late_s * 5e8))
    errors = errors_s(tmp_path, wires, [0, 20.6, 20.9, 21.2, 21.4, 21.6, 21.9, 22.2, 59])
    assert apart(errors) < 0.01


def test_a_queue_on_the_way_is_no_jump(tmp_path: Path) -> None:
    """Two seconds of everything arrive at once, and a few packets come by retransmission much later."""
    wires = [voice(), picture()]
    chance = random.Random(4)
    for wire in wires:
        talk(wire, 0, 120)
        held = START_NS + 52_000_000_000
        for at, arrival in enumerate(wire.arrivals):
            sent_s = (arrival.at_ns - START_NS) / 1e9
            if 50 < sent_s < 52:
                wire.arrivals[at] = arrival._replace(at_ns=held)
            elif chance.random() < 0.02 and not arrival.report:
                wire.arrivals[at] = arrival._replace(at_ns=arrival.at_ns + 3_000_000_000)
    errors = errors_s(tmp_path, wires, [0, 49, 51, 53, 119])
    assert apart(errors) < 0.01
    assert all(abs(error) < 0.05 for of_stream in errors.values() for error in of_stream)


@pytest.mark.parametrize("same", [True, False])
def test_streams_of_different_senders_stay_apart(tmp_path: Path, same: bool) -> None:
    """One label, but two devices whose clocks are minutes apart: each goes by its own arrivals."""
    wires = [voice(ntp_ahead_s=300), picture()]
    for wire in wires:
        talk(wire, 0, 100)
    errors = errors_s(tmp_path, wires, [0, 50, 99], same)
    assert all(abs(error) < 0.05 for of_stream in errors.values() for error in of_stream)


def test_one_packet_is_enough(tmp_path: Path) -> None:
    wire = voice()
    wire.send(1.0, [b"x"])
    assert errors_s(tmp_path, [wire], [1.0])[VOICE][0] == pytest.approx(0.025, abs=0.01)
