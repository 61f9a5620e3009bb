"""The signer at rest as motion: what references show, and what a renderer that was just opened warms up with.

Enters: nothing. Leaves: one frame of motion. Does not know renderers.
"""

from __future__ import annotations

from engine.body import load_body
from engine.choreography.rest import rest_expression, rest_pose
from engine.signals import Motion, MotionFrame


def resting_motion() -> Motion:
    """One frame, hands folded low."""
    return load_body().motion(rest_pose()[None], rest_expression()[None], 25.0)


def resting_frame() -> MotionFrame:
    """The same as a frame."""
    [frame] = resting_motion().frames()
    return frame
