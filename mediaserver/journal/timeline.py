"""When each moment of a stream was, in UTC of the node that recorded it.

A stream's timestamps count its own clock, which no two senders have alike and which may jump when
a track is changed. So a stream is cut into runs without jumps, and for each run a line is laid
through the whole recording:

1. timestamp -> the sender's time, by its sender reports. Streams of one session have one sender's
   clock, so this is what keeps lips and voice together;
2. the sender's time -> ours, by the packets that were on their way for the shortest time, all
   streams of a session together.

A run without sender reports goes straight to our time by its own fastest packets. Lines follow the
drift of clocks (a sound card that is 100 ppm fast is a third of a second away after an hour); they
reach back before the first report, too.
"""

import itertools
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mediaserver.journal.packets import Key, Stream

DRIFT_MAX = 1e-3  # clocks differ by less; what differs by more was measured wrongly
REPORTS_SPAN_S = 30.0  # shorter is too short to see drift in reports
ARRIVALS_SPAN_S = 60.0  # and this in arrivals, whose delay varies more
BUCKET_S = 10.0  # from each so long, the fastest packet counts
WINDOW = 5  # packets or reports to either side of a jump
ARRIVAL_JUMP_S = 0.2
REPORT_JUMP_S = 0.04
NEARBY_S = 30.0  # around a jump, drift does not matter
SAME_CLOCK_S = 0.5  # sessions' streams farther apart were not stamped by one clock

Seconds = NDArray[np.float64]


class Line(NamedTuple):
    """y = y0 + slope * (x - x0), in seconds."""

    x0: float
    y0: float
    slope: float

    def at(self, x: float) -> float:
        return self.y0 + self.slope * (x - self.x0)


class Run(NamedTuple):
    """The part of a stream from one timestamp on, up to the next run's."""

    first: int  # row of the stream
    end: int
    ntp: Line | None  # stream seconds -> sender's seconds


class Clock:
    """One stream's timestamps as UTC."""

    def __init__(self, clock_rate: int, base_ns: int, pieces: Sequence[tuple[int, Line]]) -> None:
        self._rate = clock_rate
        self._base_ns = base_ns
        self._starts = np.array([start for start, _line in pieces], dtype=np.int64)
        self._lines = [line for _start, line in pieces]

    def utc_ns(self, timestamp: int) -> int:
        piece = max(0, int(np.searchsorted(self._starts, timestamp, side="right")) - 1)
        return self._base_ns + round(self._lines[piece].at(timestamp / self._rate) * 1e9)


def clocks(streams: Iterable[Stream], sessions: Mapping[Key, Hashable]) -> dict[Key, Clock]:
    """A clock for each stream. Streams with an equal entry in `sessions` share their sender's clock."""
    streams = [stream for stream in streams if len(stream)]
    if not streams:
        return {}
    # Floats of seconds since now and then hold nanoseconds; since 1970, they would not.
    base_ns = min(int(stream.arrivals_ns.min()) for stream in streams)
    runs = {stream.key: _runs(stream, base_ns) for stream in streams}
    shared = _senders(streams, runs, sessions, base_ns)
    found = {}
    for stream in streams:
        pieces = []
        for run in runs[stream.key]:
            times, arrivals = _of_run(stream, run, base_ns)
            if run.ntp is None:
                line = _arrival_line(times, arrivals)
            else:
                to_ours = shared[stream.key, run.first]
                sent = run.ntp
                line = Line(sent.x0, to_ours.at(sent.y0), sent.slope * to_ours.slope)
            pieces.append((int(stream.timestamps[run.first]), line))
        found[stream.key] = Clock(stream.interface.clock_rate, base_ns, pieces)
    return found


def _of_run(stream: Stream, run: Run, base_ns: int) -> tuple[Seconds, Seconds]:
    """Its packets' stream seconds and arrivals."""
    rows = slice(run.first, run.end)
    times = stream.timestamps[rows] / stream.interface.clock_rate
    return times, (stream.arrivals_ns[rows] - base_ns) / 1e9


# --- timestamp -> the sender's time ------------------------------------------------------------


def _runs(stream: Stream, base_ns: int) -> list[Run]:
    times = stream.timestamps / stream.interface.clock_rate
    arrivals = (stream.arrivals_ns - base_ns) / 1e9
    delays = arrivals - times
    cuts = {at for at in _jumps(delays, ARRIVAL_JUMP_S) if not _was_a_queue(delays, arrivals, at)}
    rows, sent = _placed(stream, base_ns)
    reported = np.array([report_time for report_time, _ntp in sent])
    ntp = np.array([ntp for _time, ntp in sent])
    if len(sent) >= 2 * WINDOW:
        for at in _jumps(ntp - reported, REPORT_JUMP_S):
            # The jump is where the stream paused, somewhere between two reports.
            before, after = rows[at - 1], rows[at]
            if after > before:
                cuts.add(before + 1 + int(np.argmax(np.diff(arrivals[before : after + 1]))))
    edges = [0, *sorted(cut for cut in cuts if 0 < cut < len(stream)), len(stream)]
    runs = []
    for first, end in itertools.pairwise(edges):
        inside = [at for at, row in enumerate(rows) if first <= row < end]
        runs.append(Run(first, end, _report_line(reported[inside], ntp[inside]) if inside else None))
    return runs


def _placed(stream: Stream, base_ns: int) -> tuple[list[int], list[tuple[float, float]]]:
    """Each report's row (the last packet before it) and its (stream seconds, sender's seconds)."""
    order = np.argsort(stream.arrivals_ns, kind="stable")
    sorted_arrivals = stream.arrivals_ns[order]
    rows, sent = [], []
    for report in stream.reports:
        at = max(0, int(np.searchsorted(sorted_arrivals, report.arrival_ns, side="right")) - 1)
        row = int(order[at])
        near = int(stream.timestamps[row])
        timestamp = near + _signed(report.timestamp - near)
        rows.append(row)
        sent.append((timestamp / stream.interface.clock_rate, (report.ntp_ns - base_ns) / 1e9))
    return rows, sent


def _signed(difference: int) -> int:
    return (difference + (1 << 31)) % (1 << 32) - (1 << 31)


def _jumps(offsets: Seconds, least: float) -> list[int]:
    """Where offsets change for good: the median of those before differs from that of those after."""
    if len(offsets) < 2 * WINDOW:
        return []
    windows = np.median(np.lib.stride_tricks.sliding_window_view(offsets, WINDOW), axis=1)
    change = np.abs(windows[WINDOW:] - windows[:-WINDOW])  # [i]: around row i + WINDOW
    found = []
    at = 0
    while at < len(change):
        if change[at] > least:
            steps = np.abs(np.diff(offsets[at : at + 2 * WINDOW]))
            found.append(at + 1 + int(np.argmax(steps)))
            at += 2 * WINDOW
        else:
            at += 1
    return found


def _was_a_queue(delays: Seconds, arrivals: Seconds, at: int) -> bool:
    """Whether the fastest packets after a jump are as fast as those before: the clock went on evenly."""
    before = delays[:at][arrivals[:at] >= arrivals[at - 1] - NEARBY_S]
    after = delays[at:][arrivals[at:] <= arrivals[at] + NEARBY_S]
    if not len(before) or not len(after):
        return False
    return abs(float(after.min()) - float(before.min())) < ARRIVAL_JUMP_S / 2


def _report_line(times: Seconds, ntp: Seconds) -> Line:
    x0 = float(times.mean())
    slope = 1.0
    if np.ptp(times) >= REPORTS_SPAN_S:
        slope = _near_one(float(np.polyfit(times - x0, ntp - x0, 1)[0]))
    y0 = float(np.median(ntp - slope * (times - x0)))
    return Line(x0, y0, slope)


def _near_one(slope: float) -> float:
    return slope if abs(slope - 1) <= DRIFT_MAX else 1.0


# --- a sender's time -> ours -------------------------------------------------------------------


def _senders(
    streams: Sequence[Stream],
    runs: Mapping[Key, Sequence[Run]],
    sessions: Mapping[Key, Hashable],
    base_ns: int,
) -> dict[tuple[Key, int], Line]:
    """For each run with reports, by (stream, first row): the line that its sender's clock shares."""
    members: dict[Hashable, list[tuple[tuple[Key, int], Seconds, Seconds]]] = {}
    for stream in streams:
        for run in runs[stream.key]:
            if run.ntp is not None:
                times, arrivals = _of_run(stream, run, base_ns)
                sent = run.ntp.y0 + run.ntp.slope * (times - run.ntp.x0)
                name = (stream.key, run.first)
                members.setdefault(sessions.get(stream.key, stream.key), []).append((name, sent, arrivals))
    lines: dict[tuple[Key, int], Line] = {}
    for group in members.values():
        group.sort(key=lambda member: float((member[2] - member[1]).min()))
        while group:
            fastest = float((group[0][2] - group[0][1]).min())
            same = [it for it in group if float((it[2] - it[1]).min()) - fastest <= SAME_CLOCK_S]
            group = group[len(same) :]
            sent = np.concatenate([member[1] for member in same])
            arrivals = np.concatenate([member[2] for member in same])
            line = _arrival_line(sent, arrivals)
            lines.update((member[0], line) for member in same)
    return lines


def _arrival_line(sent: Seconds, arrivals: Seconds) -> Line:
    """Through the packets that were fastest in each bucket of time."""
    delays = arrivals - sent
    buckets = np.floor((sent - sent.min()) / BUCKET_S).astype(np.int64)
    order = np.lexsort((delays, buckets))
    _numbers, first = np.unique(buckets[order], return_index=True)
    best = order[first]
    x, delay = sent[best], delays[best]
    x0 = float(x.mean())
    if np.ptp(x) < ARRIVALS_SPAN_S:
        fastest = int(np.argmin(delay))
        return Line(float(x[fastest]), float(x[fastest] + delay[fastest]), 1.0)
    # A bucket without any fast packet (a queue on the way) says nothing about the clocks.
    kept = np.ones(len(x), dtype=bool)
    for _ in range(3):
        slope, offset = np.polyfit(x[kept] - x0, delay[kept], 1)
        late = delay - (offset + slope * (x - x0))
        kept = late <= max(0.005, 2 * float(np.median(np.abs(late[kept]))))
    drift = _near_one(1 + float(slope))
    y0 = x0 + float(np.median((delay - (drift - 1) * (x - x0))[kept]))
    return Line(x0, y0, drift)
