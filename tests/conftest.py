"""What holds for all tests."""

from hypothesis import settings

# Two busy cores make single examples slow now and then: pytest's own timeout bounds a test.
settings.register_profile("kelian", deadline=None)
settings.load_profile("kelian")
