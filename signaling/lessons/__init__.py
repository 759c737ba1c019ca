"""Lessons while they run: who is connected, what is appended, what each client is told.

Here are the impure parts between the rules (`signaling.log`) and the doors (`signaling.web`):
timers, fan-out, presence, media sessions. Nothing here decides what a role may do, and nothing
here knows HTTP.
"""
