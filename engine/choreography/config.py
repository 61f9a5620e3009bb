"""The timing of signing: what is humane and legible, in one place.

Enters: nothing. Leaves: `Timing`. Does not know clips or glosses.

Fluent fingerspelling runs at 3 to 5 letters a second, read most easily near the lower end; running signs last
about a third to half of their dictionary form (Motion is the Choreographer, arXiv 2508.04049).
"""

from __future__ import annotations

from dataclasses import dataclass

SLOWEST, FASTEST = 0.5, 2.0
"""The range of the signing rate."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Durations in seconds at rate 1, speeds in metres and radians a second.

    look_ahead_frames: a change of rate is complete after this many frames. letter_hold_s: how long a still
    letter stands. letter_cap_s, sign_cap_s: the longest core of a moving letter and of a sign; longer
    recordings are sped up, moving parts at most `max_squeeze` times (letters twice that, to stay within
    their cap). preparation_s: how much of the recorded rise of the hand is kept. window_s, window_share:
    how far into either clip a seam may lie. spelled_pause_s, sign_pause_s, caption_pause_s: longer hold at
    the end of a spelled word, of a sign, of a caption. ready_s: how long the hands wait for more before
    they go to rest. letter_transition_s, sign_transition_s, rest_transition_s: the shortest transitions.
    wrist_speed_m_s, turn_speed_rad_s: peak speeds that set a transition's length. slide_m: the step aside
    between doubled letters. arrived: the share of a transition after which its gloss counts as performed.
    """

    look_ahead_frames: int = 5
    letter_hold_s: float = 0.16
    letter_cap_s: float = 0.64
    sign_cap_s: float = 0.80
    max_squeeze: float = 2.2
    preparation_s: float = 0.32
    window_s: float = 0.30
    window_share: float = 0.30
    spelled_pause_s: float = 0.16
    sign_pause_s: float = 0.04
    caption_pause_s: float = 0.24
    ready_s: float = 0.5
    letter_transition_s: float = 0.16
    sign_transition_s: float = 0.20
    rest_transition_s: float = 0.44
    wrist_speed_m_s: float = 2.2
    turn_speed_rad_s: float = 15.0
    slide_m: float = 0.045
    arrived: float = 0.8

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            if not getattr(self, name) > 0:
                raise ValueError(f"Timing.{name}: got {getattr(self, name)}, expected a positive number")
        if not 1 <= self.look_ahead_frames <= 5:
            raise ValueError(
                f"Timing.look_ahead_frames: got {self.look_ahead_frames}, expected 1..5 (200 ms at 25 fps)"
            )
        if self.window_share > 0.45 or self.arrived > 1 or self.max_squeeze < 1:
            raise ValueError("Timing: expected window_share <= 0.45, arrived <= 1 and max_squeeze >= 1")
