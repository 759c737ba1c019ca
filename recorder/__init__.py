"""Recordings: journals and the lesson log become lessons, micro-lessons and the library.

Reads `signaling.protocol`, `signaling.log` and `mediaserver.journal`; writes media files and
the catalogue. Nothing here takes part in a live lesson: killing it loses no picture.
"""
