"""What holds for all tests."""

import pytest
from hypothesis import settings

# Two busy cores make single examples slow now and then: pytest's own timeout bounds a test.
settings.register_profile("kelian", deadline=None)
settings.load_profile("kelian")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browsers last: what is quick to fail should fail first."""
    items.sort(key=lambda item: item.nodeid.startswith("tests/e2e/"))
