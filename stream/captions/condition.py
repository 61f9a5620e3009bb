"""How an input is: whether it is well just now, and what it lacks if it is not.

Enters: what readers notice while they try again. Leaves: `trouble`, for a server's health page. Does not know
who looks at it.
"""

from __future__ import annotations


class Condition:
    """trouble: what is wrong just now, or "". failures: how often something went wrong."""

    def __init__(self) -> None:
        self.trouble = ""
        self.failures = 0

    def fails(self, what: object) -> None:
        self.trouble = str(what) or type(what).__name__
        self.failures += 1

    def well(self) -> None:
        self.trouble = ""
