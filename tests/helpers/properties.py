"""Property-based tests: how many examples hypothesis tries.

The same few by default, so that a test passes or fails alike everywhere. HYPOTHESIS_PROFILE=thorough tries many, others
each time; HYPOTHESIS_PROFILE=mutation few, for `benchmarks.mutation`.
"""

import os

from hypothesis import HealthCheck, settings

_SHARED = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("few", max_examples=30, derandomize=True, **_SHARED)
settings.register_profile("mutation", max_examples=15, derandomize=True, **_SHARED)
settings.register_profile("thorough", max_examples=1000, print_blob=True, **_SHARED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "few"))
