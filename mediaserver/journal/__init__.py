"""The journal of a lesson: what every recorded source sent, as it arrived (docs/journal.md).

Here it is read: pcapng blocks (`reader`), RTP packets in order (`packets`), pictures and sound
(`depacketize`, `h264`, `vp8`), and the moment of UTC at which each was made (`timeline`).
The engine writes it. Nothing here writes anything, nor knows what a lesson is.
"""
