"""The load: one sender, and receivers that wait in epoll in a process of their own."""

import json
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from random import Random

from aioice import stun
from pylibsrtp import Policy, Session

SSRC, SLOT_SSRC, SOURCE, PAYLOAD_TYPE = 0x11111111, 0x22222222, 7, 96
GCM = 7


@dataclass(frozen=True)
class Load:
    viewers: int
    packets_per_s: int
    payload_bytes: int
    frames_per_s: int
    seconds: float

    @property
    def packets_per_frame(self) -> int:
        return self.packets_per_s // self.frames_per_s

    @property
    def frames(self) -> int:
        return round(self.frames_per_s * self.seconds)


def credentials(transport: int) -> tuple[str, str]:
    """ufrag and password, the same in every process."""
    return f"ufrag{transport}", f"a-long-enough-password-{transport}"


def key(transport: int, ours: bool) -> bytes:
    return Random(2 * transport + ours).randbytes(28)


def connect_plain(port: int) -> socket.socket:
    peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    peer.connect(("127.0.0.1", port))
    peer.settimeout(5)
    return peer


def connect(port: int, transport: int) -> socket.socket:
    """A socket whose connectivity check was answered."""
    peer = connect_plain(port)
    ufrag, password = credentials(transport)
    check = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    check.attributes |= {"USERNAME": f"{ufrag}:client", "PRIORITY": 1, "ICE-CONTROLLING": 1}
    check.attributes["USE-CANDIDATE"] = None
    check.add_message_integrity(password.encode())
    peer.send(bytes(check))
    while peer.recv(2048)[0] > 3:
        pass
    return peer


def packets(load: Load, encrypted: bool) -> list[bytes]:
    """All packets of the run, H.264 with a key frame first, made before it starts."""
    policy = Policy(key(0, True), Policy.SSRC_ANY_OUTBOUND, srtp_profile=Policy.SRTP_PROFILE_AEAD_AES_128_GCM)
    session = Session(policy)
    made = []
    for n in range(load.frames * load.packets_per_frame):
        frame, place = divmod(n, load.packets_per_frame)
        last = place == load.packets_per_frame - 1
        header = struct.pack("!BBHII", 0x80, last << 7 | PAYLOAD_TYPE, n & 0xFFFF, frame * 3000, SSRC)
        packet = header + bytes([0x65 if frame == 0 else 0x41]) * load.payload_bytes
        made.append(session.protect(packet) if encrypted else packet)
    return made


def send(peer: socket.socket, made: Sequence[bytes], load: Load) -> None:
    """Frame by frame, each in one burst, as an encoder's packets come; one send a packet."""
    start = time.perf_counter()
    step = load.packets_per_frame
    for frame in range(load.frames):
        time.sleep(max(0.0, start + frame / load.frames_per_s - time.perf_counter()))
        for packet in made[frame * step : (frame + 1) * step]:
            peer.send(packet)


class Receivers:
    """The receivers' process, as the benchmark sees it."""

    def __init__(self, load: Load, port: int, encrypted: bool) -> None:
        order = {"load": asdict(load), "port": port, "encrypted": encrypted}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.capacity.load", json.dumps(order)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout
        assert self._process.stdout.readline() == "ready\n"

    def stop(self) -> dict[str, int]:
        """What arrived: packets, and viewers whose last packet was the sender's."""
        report = self._process.communicate("stop\n", timeout=20)[0]
        result: dict[str, int] = json.loads(report)
        return result


def receive(load: Load, port: int, encrypted: bool) -> dict[str, int]:
    """Counts media until standard input says stop."""
    peers = []
    for transport in range(1, load.viewers + 1):
        if encrypted:
            peers.append(connect(port, transport))
        else:
            peers.append(connect_plain(port))
            peers[-1].send(b"R")
    epoll = select.epoll()
    by_fd = {}
    for peer in peers:
        peer.setblocking(False)
        epoll.register(peer, select.EPOLLIN)
        by_fd[peer.fileno()] = peer
    epoll.register(0, select.EPOLLIN)
    print("ready", flush=True)
    count, last = 0, dict.fromkeys(by_fd, b"")
    stopping = False
    while True:
        ready = epoll.poll(0.2 if stopping else None)
        if stopping and not ready:
            break
        for fd, _ in ready:
            if fd == 0:
                stopping = True
                epoll.unregister(0)
                continue
            peer = by_fd[fd]
            try:
                while True:
                    packet = peer.recv(2048)
                    if not 192 <= packet[1] <= 223:  # RTCP
                        count += 1
                        last[fd] = packet
            except BlockingIOError:
                pass
    good = [_is_good(transport, packet, load, encrypted) for transport, packet in enumerate(last.values(), 1)]
    return {"packets": count, "good_viewers": sum(good)}


def _is_good(transport: int, packet: bytes, load: Load, encrypted: bool) -> bool:
    """Whether the viewer's last packet is the sender's payload, in its slot."""
    if encrypted:
        profile = Policy.SRTP_PROFILE_AEAD_AES_128_GCM
        policy = Policy(key(transport, False), Policy.SSRC_SPECIFIC, SLOT_SSRC + transport, profile)
        session = Session()
        session.add_stream(policy)
        packet = session.unprotect(packet)
        if packet[8:16] != struct.pack("!II", SLOT_SSRC + transport, SOURCE):
            return False
    return packet.endswith(bytes([0x41]) * load.payload_bytes)


if __name__ == "__main__":
    order = json.loads(sys.argv[1])
    print(json.dumps(receive(Load(**order["load"]), order["port"], order["encrypted"])), flush=True)
