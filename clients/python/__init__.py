"""The Python SDK: join a lesson, publish, subscribe, follow its log (docs/sdk.md)."""
