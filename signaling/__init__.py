"""Lessons: protocol, log, rules, HTTP and WebSocket API, auth, stores.

What happens once per click is decided here, purely (`log/`), and carried by aiohttp (`web/`).
The media node is told what is wanted through `mediaserver.channel`, the only part of
mediaserver that may be imported here. No media passes through this package.
It imports nothing from recorder, edge or clients.
"""
