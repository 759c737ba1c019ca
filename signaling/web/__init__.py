"""Signaling's doors: pages, the WebSocket, REST, WHIP and WHEP, metrics and health (aiohttp).

What comes in is checked, counted and handed on; nothing is decided here.
"""
