"""The one connection for sound and pictures: offered once, and offered anew by itself when it is lost."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Collection
from typing import Protocol

from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack
from aiortc.rtcrtpparameters import RTCRtpCodecCapability

from clients.python import slots
from clients.python.backoff import Backoff
from clients.python.errors import KelianError, Refused
from clients.python.feeds import Feed, Outlet
from clients.python.slots import Slot
from signaling.log.events import Codec, Use
from signaling.protocol.replies import Answer, Welcome

CONNECT_S = 10.0  # ICE and DTLS
GOODBYE_S = 1.0
LONGEST_WAIT_S = 1.5  # between offers, unless the server names a longer one
_KINDS = {"camera": "video", "microphone": "audio", "board": "video"}

_log = logging.getLogger(__name__)


class Line(Protocol):
    """What media need of the lesson."""

    @property
    def welcome(self) -> Welcome: ...
    @property
    def codec(self) -> Codec: ...
    @property
    def over(self) -> bool: ...
    async def offer(self, sdp: str, labels: dict[str, str]) -> Answer: ...
    async def tell_published(self, session: str, use: Use, on: bool) -> None: ...
    async def close_session(self, session: str) -> None: ...


class Media:
    """`slots` by name; `session` is the server's name for the connection while it is open."""

    def __init__(self, line: Line, pool: bool | Collection[str]) -> None:
        self._line = line
        every = slots.names(line.welcome.pool)
        chosen = every if pool is True else [name for name in every if pool and name in pool]
        self.slots = {name: Slot(name) for name in chosen}
        self.session: str | None = None
        self.sources: dict[Use, int] = {}  # what this session sends
        self.opened = 0  # how often it was offered
        self._feeds = {use: Feed(lambda use=use: self._ended(use)) for use in line.welcome.sends}  # type: ignore[misc]
        self._peer: RTCPeerConnection | None = None
        self._lost = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._tellers: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> bool:
        return self._peer is not None and self._peer.connectionState == "connected"

    async def open(self) -> None:
        """Offers and connects. Raises Refused or another KelianError; later losses are mended silently."""
        await self._offer()
        self._keeper = asyncio.create_task(self._keep())

    async def publish(self, use: Use, track: MediaStreamTrack) -> None:
        """Sends this track in this use, in place of what was there; says so to the server."""
        if use not in self._feeds:
            raise KelianError("may_not_send", f"这个角色不能发送 {use}", f"this role may not send {use}")
        self._feeds[use].give(track)
        await self._tell(use, True)

    async def unpublish(self, use: Use) -> MediaStreamTrack | None:
        """Stops sending in this use; returns the track that was sent, which goes on existing."""
        track = self._feeds[use].track
        self._feeds[use].give(None)
        if track is not None:
            await self._tell(use, False)
        return track

    def lost(self) -> None:
        """The server said that the session is gone."""
        self.session = None
        self._lost.set()

    async def close(self) -> None:
        tasks = [task for task in (self._keeper, *self._tellers) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._hang_up()
        for slot in self.slots.values():
            slot.close()

    # --- one offer -------------------------------------------------------------------------

    async def _offer(self) -> None:
        self._lost.clear()
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self._peer = peer
        codec = self._line.codec
        names: list[str] = [*self._feeds, *self.slots]
        for use, feed in self._feeds.items():
            transceiver = peer.addTransceiver(Outlet(_KINDS[use], feed), direction="sendonly")
            transceiver.setCodecPreferences(_preferences(_KINDS[use], codec))
        for slot in self.slots.values():
            transceiver = peer.addTransceiver(slot.kind, direction="recvonly")
            transceiver.setCodecPreferences(_preferences(slot.kind, codec))
        try:
            await peer.setLocalDescription(await peer.createOffer())
            transceivers = peer.getTransceivers()
            pairs = list(zip(transceivers, names, strict=True))
            labels = {str(transceiver.mid): name for transceiver, name in pairs}
            answer = await self._line.offer(peer.localDescription.sdp, labels)
            await peer.setRemoteDescription(RTCSessionDescription(answer.sdp, "answer"))
            for transceiver, name in pairs:
                if name in self.slots and transceiver.receiver.track is not None:
                    self.slots[name].bind(transceiver)
            await self._connected(peer)
        except BaseException:
            await self._hang_up()
            raise
        self.session, self.sources = answer.session, answer.sources
        self.opened += 1

    async def _connected(self, peer: RTCPeerConnection) -> None:
        changed = asyncio.Event()
        peer.on("connectionstatechange", changed.set)
        try:
            async with asyncio.timeout(CONNECT_S):
                while peer.connectionState in ("new", "connecting"):
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            pass
        if peer.connectionState != "connected":
            raise KelianError(
                "media_not_connected",
                "音视频连接不上；请检查防火墙是否放行服务器的 UDP 端口",
                "no media connection; check that the firewall lets the server's UDP port through",
            )
        peer.on("connectionstatechange", lambda: self._watch(peer))

    def _watch(self, peer: RTCPeerConnection) -> None:
        if peer is self._peer and peer.connectionState in ("failed", "closed"):
            self._lost.set()

    # --- mending ---------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Offers anew when the session is lost, and says again what is published, until the lesson ends."""
        backoff = Backoff(first_s=0.2, most_s=LONGEST_WAIT_S)
        while True:
            backoff.up(time.monotonic())
            await self._lost.wait()
            await self._hang_up()
            while True:
                try:
                    await self._offer()
                    for use, feed in self._feeds.items():
                        if feed.track is not None:
                            await self._tell(use, True)
                    break
                except (KelianError, ConnectionError, TimeoutError) as error:
                    await self._hang_up()  # also of a connection that stands, but could not be announced
                    if self._line.over:
                        return
                    wait_s = backoff.down(time.monotonic())
                    if isinstance(error, Refused) and error.retry_after_ms is not None:
                        wait_s = max(wait_s, error.retry_after_ms / 1000)
                    _log.warning("offering anew in %.1f s: %s", wait_s, error)
                    await asyncio.sleep(wait_s)

    async def _hang_up(self) -> None:
        session, self.session = self.session, None
        if session is not None:
            with contextlib.suppress(KelianError, TimeoutError):
                async with asyncio.timeout(GOODBYE_S):
                    await self._line.close_session(session)
        for slot in self.slots.values():
            slot.unbind()
        peer, self._peer = self._peer, None
        if peer is not None:
            with contextlib.suppress(ConnectionError):
                await peer.close()

    async def _tell(self, use: Use, on: bool) -> None:
        """Says that media begin or end. Of a session that is lost meanwhile, the next one tells."""
        session = self.session
        if session is None:
            return
        try:
            await self._line.tell_published(session, use, on)
        except Refused:
            if self.session == session:
                raise

    def _ended(self, use: Use) -> None:
        """A track ended by itself, as a file does: the server is told."""
        task = asyncio.create_task(self._tell_ended(use))
        self._tellers.add(task)
        task.add_done_callback(self._tellers.discard)

    async def _tell_ended(self, use: Use) -> None:
        with contextlib.suppress(KelianError):
            await self._tell(use, False)


def _preferences(kind: str, codec: Codec) -> list[RTCRtpCodecCapability]:
    """Opus, or the lesson's codec with its retransmissions; nothing else is offered."""
    wanted = {"audio/opus"} if kind == "audio" else {f"video/{codec}", "video/rtx"}
    capabilities = RTCRtpSender.getCapabilities(kind).codecs
    return [capability for capability in capabilities if capability.mimeType.lower() in wanted]
