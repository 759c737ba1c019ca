"""The channel between signaling and media nodes: typed msgpack over a Unix socket or TCP."""
