"""The classroom and the studio: cameras, microphones, board and devices of one room.

An edge node is a media node like any other (`mediaserver`), joined to the city's by a
PipeTransport that it dials; it speaks to lessons through `clients.python`.
"""
