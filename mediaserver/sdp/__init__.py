"""One offer, one answer: what a client proposes, and what this node makes of it.

`description` is the offer as typed values (the parsing is the engine's), `answer` negotiates:
pure functions without I/O, clock or randomness of their own. Nothing here knows of DTLS
handshakes, sockets or lessons.
"""
