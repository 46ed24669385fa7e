"""Settings that all tests share."""

from __future__ import annotations

from hypothesis import settings

# The same examples in every run, so that a change is what a failure is due to. HYPOTHESIS_PROFILE=search looks further.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None, max_examples=500)
settings.load_profile("steady")
