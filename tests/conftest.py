"""What all tests share: how long Hypothesis looks for trouble, by $HYPOTHESIS_PROFILE."""

import os

from hypothesis import HealthCheck, settings

# The same examples every time: `make test` finds what it found yesterday, or something is broken.
settings.register_profile("quick", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fuzz", max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
settings.register_profile("nightly", max_examples=2_000, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
