"""The `kelian` command: serve, demo, token, lesson, publish, watch."""
