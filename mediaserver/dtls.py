"""DTLS handshakes (RFC 5764, 8842) by aiortc's transport, without its RTP half.

The packet engine hands over the datagrams whose first byte is 20-63, and sends those that
come out. A handshake ends in two SRTP keys, which go to the engine. Everything runs in the
event loop: a handshake is a few steps of 0.1-0.2 ms each, and timeouts are OpenSSL's own.

aiortc offers no public way to this: the private names used here are pinned by the version
in pyproject.toml and by tests/mediaserver/test_dtls.py.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, cast

import structlog
from aiortc import RTCCertificate, RTCDtlsParameters, RTCDtlsTransport, RTCIceTransport
from aiortc.rtcdtlstransport import (
    SRTP_AEAD_AES_128_GCM,
    SRTP_AES128_CM_SHA1_80,
    RTCDtlsFingerprint,
    SRTPProtectionProfile,
    State,
    certificate_digest,
)
from OpenSSL import SSL

from mediaserver.sdp.answer import HASHES
from mediaserver.sdp.description import Fingerprint

HANDSHAKE_TIMEOUT_S = 30.0
MTU_BYTES = 1200  # what any path carries
MAX_WAITING_DATAGRAMS = 64
EXPORTER_LABEL = b"EXTRACTOR-dtls_srtp"  # RFC 5764, 4.2
RECORD_HEADER_BYTES = 13  # RFC 6347, 4.1: the length is in the last two

# Chromium as a DTLS client takes the server's first choice.
PROFILES = (SRTP_AEAD_AES_128_GCM, SRTP_AES128_CM_SHA1_80)
PROFILE_NUMBERS = {b"SRTP_AEAD_AES_128_GCM": 7, b"SRTP_AES128_CM_SHA1_80": 1}

log = structlog.get_logger("dtls")


class NodeCertificate(RTCCertificate):
    """ECDSA P-256, one per start of the node, with the SSL context that all handshakes share."""

    _context: SSL.Context | None = None

    @property
    def fingerprint(self) -> str:
        """Its sha-256 as SDP writes it."""
        return str(certificate_digest(self._cert, "sha-256"))

    def _create_ssl_context(self, srtp_profiles: list[SRTPProtectionProfile]) -> SSL.Context:
        if self._context is None:
            self._context = super()._create_ssl_context(srtp_profiles)
            # Each session would stay in the shared context's cache; nobody resumes one.
            self._context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        return self._context


class _Datagrams:
    """What aiortc takes for an ICE transport."""

    role = "controlled"

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._sink = send
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue()

    def put(self, datagram: bytes) -> None:
        if datagram and self._waiting.qsize() < MAX_WAITING_DATAGRAMS:
            self._waiting.put_nowait(datagram)

    async def _recv(self) -> bytes:
        return await self._waiting.get()

    async def _send(self, data: bytes) -> None:
        self._sink(data)


class _Transport(RTCDtlsTransport):
    """aiortc's transport, ending in keys instead of SRTP sessions of its own."""

    def __init__(
        self,
        datagrams: _Datagrams,
        certificate: NodeCertificate,
        role: Literal["server", "client"],
        on_keys: Callable[[int, bytes, bytes], None],
    ) -> None:
        super().__init__(cast(RTCIceTransport, datagrams), [certificate])
        self._srtp_profiles = list(PROFILES)
        self._set_role(role)
        self._on_keys = on_keys
        self.failure = "dtls_failed"

    @property
    def _connection(self) -> SSL.Connection:
        assert self._ssl is not None  # made by start(), before anything that is overridden here
        return self._ssl

    async def _do_handshake(self) -> None:
        self._connection.set_ciphertext_mtu(MTU_BYTES)
        await super()._do_handshake()

    def _validate_peer_identity(self, remoteParameters: RTCDtlsParameters) -> None:
        """One certificate of those that were announced, by the strongest hash (RFC 8122, 5)."""
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        assert certificate is not None  # the context refuses handshakes without one
        strongest = max((f.algorithm for f in remoteParameters.fingerprints), key=lambda name: HASHES[name])
        digest = certificate_digest(certificate, strongest)
        if not any(
            f.algorithm == strongest and f.value.upper() == digest for f in remoteParameters.fingerprints
        ):
            self.failure = "fingerprint_mismatch"
            self._set_state(State.FAILED)

    def _setup_srtp(self) -> None:
        selected = self._connection.get_selected_srtp_profile()
        profile = next((p for p in self._srtp_profiles if p.openssl_profile == selected), None)
        if profile is None:
            self.failure = "no_srtp_profile"
            self._set_state(State.FAILED)
            return
        length = 2 * (profile.key_length + profile.salt_length)
        material = self._connection.export_keying_material(EXPORTER_LABEL, length)
        client, server = profile.get_key_and_salt(material, 0), profile.get_key_and_salt(material, 1)
        local, remote = (server, client) if self._role == "server" else (client, server)
        self._on_keys(PROFILE_NUMBERS[selected], local, remote)

    async def _write_ssl(self) -> None:
        """Sends everything that OpenSSL has written, whole records to a datagram."""
        written = bytearray()
        with contextlib.suppress(SSL.Error):
            while True:
                written += self._connection.bio_read(65536)
        for datagram in split_records(bytes(written)):
            await self.transport._send(datagram)


def split_records(data: bytes) -> Iterator[bytes]:
    """Cuts DTLS records into datagrams of at most `MTU_BYTES` (or of one record)."""
    start = end = 0
    while end + RECORD_HEADER_BYTES <= len(data):
        length = RECORD_HEADER_BYTES + int.from_bytes(data[end + 11 : end + 13], "big")
        if end > start and end + length - start > MTU_BYTES:
            yield data[start:end]
            start = end
        end += length
    if start < len(data):
        yield data[start:]


class DtlsSession:
    """One peer's DTLS, from the first datagram to the closing alert."""

    def __init__(
        self,
        certificate: NodeCertificate,
        role: Literal["server", "client"],
        fingerprints: Sequence[Fingerprint],
        *,
        send: Callable[[bytes], None],
        on_keys: Callable[[int, bytes, bytes], None],
        on_end: Callable[[str], None],
    ) -> None:
        """`on_keys(profile, local, remote)`: as the engine's `set_srtp` takes them.

        `on_end(reason)`, once, unless `close` was called: dtls_failed, dtls_timeout,
        fingerprint_mismatch, no_srtp_profile, or dtls_closed by the peer.
        """
        self._datagrams = _Datagrams(send)
        self._transport = _Transport(self._datagrams, certificate, role, on_keys)
        self._parameters = RTCDtlsParameters(
            fingerprints=[RTCDtlsFingerprint(f.algorithm.lower(), f.value) for f in fingerprints]
        )
        self._on_end = on_end
        self._over = asyncio.Event()
        self._transport.on("statechange", self._note_state)
        self._task: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        return bool(self._transport.state == "connected")

    def start(self) -> None:
        """A server waits for the peer; a client speaks first, so start it when ICE has a path."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="dtls")

    def receive(self, datagram: bytes) -> None:
        self._datagrams.put(datagram)

    async def close(self) -> None:
        """Says goodbye to the peer, if there was a handshake, and ends."""
        self._transport.remove_all_listeners("statechange")
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._transport.stop()

    async def _run(self) -> None:
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                await self._transport.start(self._parameters)
        except TimeoutError:
            self._on_end("dtls_timeout")
            return
        except Exception as error:  # whatever a peer makes OpenSSL or aiortc raise: this one session ends
            log.warning("handshake failed", error=repr(error))
            self._on_end("dtls_failed")
            return
        if self._transport.state == "failed":
            self._on_end(self._transport.failure)
            return
        await self._over.wait()
        self._on_end("dtls_closed")

    def _note_state(self) -> None:
        if self._transport.state == "closed":
            self._over.set()
