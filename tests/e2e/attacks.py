"""What somebody hostile sends: datagrams, session descriptions, RTP and RTCP. Seeded, so always the same."""

import contextlib
import random
import socket
import struct
from collections.abc import Iterator

from aioice import stun

MAGIC = 0x2112A442


def garbage(noise: random.Random, ufrag: str) -> bytes:
    """One datagram of any kind that the shared port tells apart (RFC 7983), none of it good."""
    kinds = (_noise, _stun_like, _stun_of_a_stranger, _dtls_like, _rtp_like, _rtcp_like)
    return noise.choice(kinds)(noise, ufrag)


def _noise(noise: random.Random, ufrag: str) -> bytes:
    return noise.randbytes(noise.choice((1, 2, 11, 100, 1472)))


def _stun_like(noise: random.Random, ufrag: str) -> bytes:
    """A header that is nearly right, and attributes of wrong lengths."""
    attributes = b"".join(
        struct.pack("!HH", noise.choice((6, 8, 0x20, 0x24, 0x8028)), noise.randrange(70))
        + noise.randbytes(20)
        for _ in range(noise.randrange(5))
    )
    length = noise.choice((len(attributes), len(attributes) + 4, 0, 65532))
    return (
        struct.pack("!HHI", noise.choice((1, 0x101, 0x111, 3)), length, MAGIC)
        + noise.randbytes(12)
        + attributes
    )


def _stun_of_a_stranger(noise: random.Random, ufrag: str) -> bytes:
    """A check as it should be, for a user that exists or not, with the wrong password."""
    name = noise.choice((ufrag, "nobody", ufrag[:-1], ""))
    check = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, attributes={"USERNAME": f"{name}:x"})
    check.attributes |= {"PRIORITY": 1, "ICE-CONTROLLING": 1, "USE-CANDIDATE": None}
    if noise.random() < 0.8:
        check.add_message_integrity(b"not the password")
    return bytes(check)


def _dtls_like(noise: random.Random, ufrag: str) -> bytes:
    return dtls_record(noise.choice((20, 21, 22, 23, 25, 63)), noise.randbytes(noise.randrange(300)))


def _rtp_like(noise: random.Random, ufrag: str) -> bytes:
    return struct.pack("!BBH", noise.randrange(0x80, 0xC0), noise.randrange(256), noise.randrange(65536)) + (
        noise.randbytes(noise.randrange(400))
    )


def _rtcp_like(noise: random.Random, ufrag: str) -> bytes:
    return struct.pack(
        "!BBH", noise.randrange(0x80, 0xC0), noise.randrange(192, 224), noise.randrange(50)
    ) + (noise.randbytes(noise.randrange(200)))


def dtls_record(kind: int, body: bytes, *, length: int | None = None) -> bytes:
    length = len(body) if length is None else length
    return struct.pack("!BHHHIH", kind, 0xFEFF, 0, 0, 0, length) + body


def client_hello(body: bytes, *, claimed: int | None = None, fragment: int | None = None) -> bytes:
    """A handshake record whose ClientHello has this body, and lengths that may be lies (RFC 6347, 4.2.2)."""
    whole = len(body) if claimed is None else claimed
    part = len(body) if fragment is None else fragment
    head = b"\x01" + whole.to_bytes(3, "big") + b"\0\0" + b"\0\0\0" + part.to_bytes(3, "big")
    return dtls_record(22, head + body)


BAD_HANDSHAKES: dict[str, list[bytes]] = {
    "empty hello": [client_hello(b"")],
    "hello of another protocol": [client_hello(b"\x03\x03" + b"GET / HTTP/1.1\r\n\r\n" * 4)],
    "hello cut short": [client_hello(b"\xfe\xfd" + bytes(32) + b"\x20" + bytes(10))],
    "hello with lists that overrun": [
        client_hello(b"\xfe\xfd" + bytes(32) + b"\0\0" + b"\xff\xff" + bytes(60))
    ],
    "fragment longer than its message": [client_hello(bytes(80), claimed=10, fragment=80)],
    "message of 16 MB announced": [client_hello(bytes(80), claimed=0xFFFFFF, fragment=80)],
    "record longer than its datagram": [dtls_record(22, bytes(20), length=5000)],
    "a fatal alert": [dtls_record(21, b"\x02\x28")],
    "the end before the beginning": [dtls_record(21, b"\x01\x00"), dtls_record(20, b"\x01")],
    "a flood of noise": [dtls_record(22, random.Random(n).randbytes(n % 300)) for n in range(300)],
}


def descriptions(good: str) -> Iterator[tuple[str, str]]:
    """Broken and hostile variants of an offer, by name."""
    lines = good.splitlines()
    cut = good[: len(good) // 2]

    def changed(old: str, new: str) -> str:
        assert old in good, old
        return good.replace(old, new)

    def added(*more: str) -> str:
        return "\r\n".join([*lines, *more]) + "\r\n"

    fingerprint = next(line for line in lines if line.startswith("a=fingerprint:sha-256"))
    ufrag = next(line for line in lines if line.startswith("a=ice-ufrag:"))
    mid = next(line for line in lines if line.startswith("a=mid:"))
    yield "nothing", ""
    yield "no SDP", "hello"
    yield "a session alone", "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
    yield "cut in the middle", cut
    yield "cut in a line", good[: good.index("a=fingerprint") + 30]
    yield "lines turned round", "\r\n".join(reversed(lines))
    yield "NUL bytes", changed("a=mid:", "a=mid:\0")
    yield "no fingerprint", "\r\n".join(line for line in lines if not line.startswith("a=fingerprint"))
    yield "fingerprint of no hash", changed("a=fingerprint:sha-", "a=fingerprint:md5-")
    yield "fingerprint of letters", good.replace(fingerprint, "a=fingerprint:sha-256 " + "ZZ:" * 31 + "ZZ")
    yield "fingerprint of 100 kB", good.replace(fingerprint, "a=fingerprint:sha-256 " + "AA:" * 33_000 + "AA")
    yield "no ufrag", good.replace(ufrag, "")
    yield "ufrag of 60 kB", good.replace(ufrag, "a=ice-ufrag:" + "u" * 60_000)
    yield "setup:holdconn", changed("a=setup:actpass", "a=setup:holdconn")
    yield "no rtcp-mux", changed("a=rtcp-mux", "a=rtcp-mux-not")
    yield "one mid for all", "\r\n".join(mid if line.startswith("a=mid:") else line for line in lines)
    yield "mid of 100 kB", good.replace(mid, "a=mid:" + "m" * 100_000)
    yield "a bundle of strangers", changed("a=group:BUNDLE", "a=group:BUNDLE " + "x " * 1000)
    yield "port 99999", changed("m=video ", "m=video 9999999 UDP/TLS/RTP/SAVPF 96\r\nm=video ")
    yield "payload type 300", added("a=rtpmap:300 VP8/90000")
    yield (
        "extension ids out of range",
        added("a=extmap:0 urn:x", "a=extmap:4294967296 urn:y", "a=extmap:-1 urn:z"),
    )
    yield (
        "ssrc out of range",
        added("a=ssrc:99999999999 cname:x", "a=ssrc-group:FID 1", "a=ssrc-group:FID 1 2 3"),
    )
    yield (
        "rids that contradict",
        added("a=rid:h send", "a=rid:h recv", "a=simulcast:send h;;;~;,, recv h send h"),
    )
    yield "candidates of junk", added(*("a=candidate:" + "9" * 300 for _ in range(500)))
    yield "a thousand sections", good + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 VP8/90000\r\n" * 1000
    yield "20,000 attributes", added(*("a=x:" + str(n) for n in range(20_000)))
    yield "one line of 400 kB", added("a=" + "A" * 400_000)


def mutations(good: str, count: int) -> Iterator[str]:
    """An offer with two or three small accidents each."""
    noise = random.Random(7)
    for _ in range(count):
        lines = good.splitlines()
        for _ in range(noise.randrange(1, 4)):
            at = noise.randrange(len(lines))
            line = lines[at]
            match noise.randrange(6):
                case 0:
                    del lines[at]
                case 1:
                    lines.insert(noise.randrange(len(lines)), line)
                case 2:
                    lines[at] = line[: noise.randrange(len(line) + 1)]
                case 3:
                    lines[at] = "".join(
                        noise.choice("0123456789") if c.isdigit() and noise.random() < 0.5 else c
                        for c in line
                    )
                case 4:
                    where = noise.randrange(len(line) + 1)
                    lines[at] = (
                        line[:where] + noise.choice((" ", ":", "/", "=", "é", "0" * 40, "\t")) + line[where:]
                    )
                case 5:
                    other = noise.randrange(len(lines))
                    lines[at], lines[other] = lines[other], lines[at]
        yield "\r\n".join(lines) + "\r\n"


def rtp(noise: random.Random, ssrc: int, payload_type: int) -> bytes:
    """A packet of a good stream with something wrong in header, extensions, padding or payload."""
    first = 0x80 | noise.choice((0, 0x10, 0x20, 0x30, noise.randrange(16), 0x10 | noise.randrange(16)))
    number = noise.choice((payload_type, noise.randrange(128)))
    head = struct.pack(
        "!BBHII", first, number | noise.choice((0, 0x80)), noise.randrange(65536), noise.randrange(2**32),
        noise.choice((ssrc, ssrc, ssrc, noise.randrange(2**32))),
    )  # fmt: skip
    extension = b""
    if first & 0x10:
        body = noise.randbytes(4 * noise.randrange(6))
        extension = struct.pack("!HH", noise.choice((0xBEDE, 0x1000, 0xFFFF)), len(body) // 4) + body
    csrcs = noise.randbytes(4 * (first & 15))
    payload = noise.choice(
        (b"", b"\x7c", b"\x78\xff\xff", b"\x90\x80", noise.randbytes(noise.randrange(300)))
    )
    padding = noise.choice((b"", b"\xff", b"\0")) if first & 0x20 else b""
    return head + csrcs + extension + payload + padding


def rtcp(noise: random.Random, ssrc: int) -> bytes:
    """A compound whose counts and lengths do not fit."""
    parts = []
    for _ in range(noise.randrange(1, 5)):
        body = struct.pack("!I", noise.choice((ssrc, noise.randrange(2**32)))) + noise.randbytes(
            noise.randrange(90)
        )
        length = noise.choice((len(body) // 4, 0, 1, noise.randrange(65536)))
        kind = noise.choice((200, 201, 202, 203, 204, 205, 205, 206, 206, 207, 192, 223))
        parts.append(struct.pack("!BBH", 0x80 | noise.randrange(64), kind, length) + body)
    return b"".join(parts)


def picture_loss(sender: int, media: int) -> bytes:
    """PLI (RFC 4585, 6.3.1)."""
    return struct.pack("!BBHII", 0x81, 206, 2, sender, media)


def nack_of_everything(sender: int, media: int) -> bytes:
    """A generic NACK of 64 × 17 packets (RFC 4585, 6.2.1)."""
    lost = b"".join(struct.pack("!HH", n * 17 & 0xFFFF, 0xFFFF) for n in range(64))
    return struct.pack("!BBHII", 0x81, 205, 2 + 64, sender, media) + lost


def strangers(count: int) -> list[socket.socket]:
    """Sockets that the server has never seen."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    for it in sockets:
        it.bind(("127.0.0.1", 0))
        it.setblocking(False)
    return sockets


def waiting(sock: socket.socket) -> Iterator[bytes]:
    """What has come for a socket; closes it."""
    with sock, contextlib.suppress(BlockingIOError):
        while True:
            yield sock.recv(2048)
