"""A thousand clients in one lesson, without media: what signaling does for them, and how fast."""
