"""Settings that all tests share."""

import os

from hypothesis import HealthCheck, settings

# No test asserts a time, so hypothesis has no deadline; under CI it draws the same examples always.
settings.register_profile(
    "course",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("course")
