"""The media node: everything between a peer's UDP packet and another peer's UDP packet.

Here live sessions (SDP, ICE-lite, DTLS), the slot policy, the channel to signaling, and the
Rust packet engine (`engine/`, imported as `mediaserver._engine`).
It knows sources, slots and sessions. It knows no lessons' rules, no people and no roles,
and imports neither signaling nor recorder, edge or clients.
"""
