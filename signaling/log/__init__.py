"""The lesson log: its events, the state they fold into, and the rules that write them.

Pure: no I/O, no clock, no randomness. `now` and fresh ids are passed in.
"""
