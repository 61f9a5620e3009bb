"""What all tests share: how Hypothesis searches.

The suite says whether this code is right, the same each time and on a machine however slow: no deadlines, and
the same examples in every run. Searching for new ones is `python -m tests.fuzz`.
"""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "suite", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")
