"""The lesson protocol (docs/protocol.md): what pages and SDKs say over `/ws`, and what they hear.

Subprotocols `kelian.v1.msgpack` (binary) and `kelian.v1.json` (text); same messages.
A message is a map whose "t" names it. `requests` come from clients, `replies` from the server.
"""

VERSION = 1
SUBPROTOCOLS = ("kelian.v1.msgpack", "kelian.v1.json")
