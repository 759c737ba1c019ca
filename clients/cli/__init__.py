"""The `kelian` command: serve, node, demo, token, lesson, publish, watch."""
