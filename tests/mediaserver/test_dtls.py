"""DTLS over the shim, against aiortc's own transport as the peer."""

import asyncio
import inspect
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from aiortc import RTCCertificate, RTCDtlsParameters, RTCDtlsTransport, rtcdtlstransport
from aiortc.rtcdtlstransport import RTCDtlsFingerprint

from mediaserver.dtls import MTU_BYTES, DtlsSession, NodeCertificate, split_records
from mediaserver.sdp.description import Fingerprint


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 (OpenSSL's state has no event)
            await asyncio.sleep(0.005)


@dataclass
class Pipe:
    """The peer's ICE transport: two queues, with a filter for what gets lost."""

    role: str = "controlling"
    inbox: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    deliver: Callable[[bytes], None] = lambda data: None

    async def _recv(self) -> bytes:
        return await self.inbox.get()

    async def _send(self, data: bytes) -> None:
        self.deliver(data)


@dataclass
class Call:
    """One handshake between a node's session and a peer."""

    role: Literal["server", "client"] = "server"
    fingerprints: list[Fingerprint] | None = None
    peer_profiles: list[Any] | None = None
    drop: Callable[[int, bytes], bool] = lambda index, data: False
    peer_certificate: RTCCertificate = field(default_factory=RTCCertificate.generateCertificate)

    async def run(self, before: bytes = b"") -> "Call":
        certificate = NodeCertificate.generateCertificate()
        pipe = Pipe()
        self.peer = RTCDtlsTransport(pipe, [self.peer_certificate])  # type: ignore[arg-type]
        self.peer._set_role("client" if self.role == "server" else "server")
        if self.peer_profiles is not None:
            self.peer._srtp_profiles = self.peer_profiles
        self.keys: list[tuple[int, bytes, bytes]] = []
        self.ends: list[str] = []
        self.sent: list[bytes] = []

        def send(data: bytes) -> None:
            self.sent.append(data)
            if not self.drop(len(self.sent), data):
                pipe.inbox.put_nowait(data)

        prints = [Fingerprint(f.algorithm, f.value) for f in self.peer_certificate.getFingerprints()]
        self.node = DtlsSession(
            certificate,
            self.role,
            prints if self.fingerprints is None else self.fingerprints,
            send=send,
            on_keys=lambda *keys: self.keys.append(keys),
            on_end=self.ends.append,
        )
        pipe.deliver = self.node.receive
        self.node.start()
        if before:
            self.node.receive(before)
        expected = RTCDtlsParameters([RTCDtlsFingerprint("sha-256", certificate.fingerprint)])
        started = asyncio.ensure_future(self.peer.start(expected))
        await until(lambda: bool(self.ends) or (self.node.connected and started.done()))
        started.cancel()
        return self

    async def close(self) -> None:
        await self.node.close()
        await self.peer.stop()


@pytest.mark.parametrize("role", ["server", "client"])
async def test_keys_are_those_of_the_peer(role: Literal["server", "client"]) -> None:
    call = await Call(role).run()
    [(profile, local, remote)] = call.keys
    # As DTLS client aiortc's own server chooses; it too has GCM before SHA1-80.
    assert profile == 7
    assert len(local) == len(remote) == 28
    view = call.peer._ssl.export_keying_material(b"EXTRACTOR-dtls_srtp", 56)  # type: ignore[union-attr]
    client, server = view[:16] + view[32:44], view[16:32] + view[44:56]
    assert (local, remote) == ((server, client) if role == "server" else (client, server))
    await call.close()


async def test_sha1_80_for_peers_without_gcm() -> None:
    call = await Call(peer_profiles=[rtcdtlstransport.SRTP_AES128_CM_SHA1_80]).run()
    assert [(profile, len(local)) for profile, local, _ in call.keys] == [(1, 30)]
    await call.close()


async def test_no_common_profile_fails() -> None:
    call = await Call(peer_profiles=[rtcdtlstransport.SRTP_AEAD_AES_256_GCM]).run()
    assert call.ends == ["no_srtp_profile"]
    assert not call.keys
    await call.close()


async def test_another_certificate_than_announced_fails() -> None:
    other = RTCCertificate.generateCertificate().getFingerprints()
    call = await Call(fingerprints=[Fingerprint(f.algorithm, f.value) for f in other]).run()
    assert call.ends == ["fingerprint_mismatch"]
    assert not call.keys
    await call.close()


async def test_one_of_several_announced_certificates_is_enough() -> None:
    certificate = RTCCertificate.generateCertificate()
    digest = certificate.getFingerprints()[0]
    assert digest.algorithm == "sha-256"
    another = Fingerprint("sha-256", ":".join(["00"] * 32))
    mine = Fingerprint("SHA-256", digest.value.lower())
    call = await Call(fingerprints=[another, mine], peer_certificate=certificate).run()
    assert len(call.keys) == 1
    await call.close()


async def test_garbage_before_the_handshake_is_survived() -> None:
    rng = random.Random(7)
    call = await Call().run(before=bytes([22]) + rng.randbytes(200))
    assert len(call.keys) == 1
    await call.close()


async def test_a_fault_in_a_handshake_ends_its_session() -> None:
    def fail(index: int, data: bytes) -> bool:
        raise RuntimeError("on purpose")

    call = await Call(drop=fail).run()
    assert call.ends == ["dtls_failed"]
    await call.close()


async def test_a_lost_flight_is_sent_again() -> None:
    call = await Call(drop=lambda index, data: index == 1).run()
    assert len(call.keys) == 1
    await call.close()


async def test_closing_is_told_both_ways() -> None:
    call = await Call().run()
    await call.peer.stop()
    await until(lambda: bool(call.ends))
    assert call.ends == ["dtls_closed"]

    call = await Call().run()
    await call.node.close()
    await until(lambda: call.peer.state == "closed")
    assert call.ends == []


async def test_datagrams_stay_below_the_mtu() -> None:
    call = await Call().run()
    assert max(map(len, call.sent)) <= MTU_BYTES
    await call.close()


def record(length: int) -> bytes:
    return b"\x16\xfe\xfd" + bytes(8) + length.to_bytes(2, "big") + bytes(length)


def test_records_are_never_cut() -> None:
    records = [record(length) for length in (500, 500, 500, 1190, 30, 5000, 10)]
    datagrams = list(split_records(b"".join(records)))
    assert b"".join(datagrams) == b"".join(records)
    assert datagrams == [
        records[0] + records[1], records[2], records[3], records[4], records[5], records[6],
    ]  # fmt: skip


def test_private_names_are_there() -> None:
    """What mediaserver/dtls.py overrides or calls in the pinned aiortc."""
    transport = RTCDtlsTransport
    for name in ("_do_handshake", "_validate_peer_identity", "_setup_srtp", "_write_ssl", "_recv_next"):
        assert inspect.isfunction(getattr(transport, name))
    source = inspect.getsource(transport)
    for used in ("self.transport._recv()", "self.transport._send(data)", "self._srtp_profiles", "self._role"):
        assert used in source
    assert "self._setup_srtp()" in inspect.getsource(transport.start)
    assert "_create_ssl_context(" in inspect.getsource(transport.start)
    assert list(inspect.signature(RTCCertificate._create_ssl_context).parameters) == ["self", "srtp_profiles"]
