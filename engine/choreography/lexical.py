"""Signing from the lexicon: recorded clips, joined frame by frame as glosses arrive.

Enters: numbered glosses. Leaves: a `MotionFrame` a step. Does not know text, threads or pictures.

Causal: a frame depends on nothing appended after it was made, and no frame waits for what follows. The next
gloss is looked at only when the present clip has come within its seam window (at most 30 % of it); if none
is known by then the clip plays out, stands `ready_s`, and the hands go to rest. A sign that begins from
stillness begins with its own recorded preparation: `MotionFrame.gloss` is its index from the first frame
that moves for it. Between two signs the index is -1 until `arrived` of the transition is over.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

import numpy as np

from engine.body import Body, load_body
from engine.choreography.clip import Clip
from engine.choreography.config import Timing
from engine.choreography.idle import JOINTS, IdleLife, lay_over
from engine.choreography.inertia import Inertia
from engine.choreography.prepare import rest_wrists
from engine.choreography.rest import rest_expression, rest_quaternions
from engine.choreography.seams import find_seam, transition_s
from engine.choreography.slide import slide_aside
from engine.choreography.state import LexiconState, Phase, Queued, checked_rate
from engine.choreography.store import ClipStore, MotionSource
from engine.rotations import multiply, quaternion_from_rotvec, rotvec_from_quaternion
from engine.signals import IDLE, FloatArray, Gloss, MotionFrame, Unseen
from engine.skeleton import MIRROR_JOINTS, mirror_expression

log = logging.getLogger(__name__)

_MIRROR_QUATERNION = np.array([1, 1, -1, -1], np.float32)
_LETTER_S, _SIGN_S = 0.36, 1.0
"""How long a gloss takes, before its clip is known."""
_SIDED = [0, 1, 2, 3, 4, 7, 8]
_SIGNING_CALM = 0.3
_CALM_S = 0.5
_SHORTER_PAUSE, _SHORTER_HOLD = 0.75, 0.33
"""At full brevity pauses lose three quarters, and a still letter stands for three quarters of its time."""
_FASTER = 1.5
"""Above this rate transitions grow no faster: wrists keep to human speeds."""


class LexiconChoreography:
    """See the module. One choreography may serve many signers of one inference thread."""

    def __init__(
        self,
        lexicon: MotionSource,
        *,
        fps: float = 25.0,
        timing: Timing = Timing(),  # noqa: B008 (frozen)
        body: Body | None = None,
    ) -> None:
        if not 10 <= fps <= 120:
            raise ValueError(f"choreography: got {fps} frames a second, expected 10 to 120 (25 is usual)")
        self._fps, self._timing = float(fps), timing
        self._body = body or load_body()
        self._store = ClipStore(lexicon, self._body, timing, fps)
        self._rest_wrists = rest_wrists(self._body)

    @property
    def fps(self) -> float:
        return self._fps

    def open(self, *, seed: int = 0, rate: float = 1.0, left_handed: bool = False) -> LexiconState:
        rate = checked_rate(rate)
        pose = mirror_quaternions(rest_quaternions()) if left_handed else rest_quaternions()
        return LexiconState(
            inertia=Inertia(pose, rest_expression(), self._fps),
            idle=IdleLife(seed, self._fps),
            left_handed=left_handed,
            mirrored=left_handed,
            sides=-1.0 if left_handed else 1.0,
            rate_now=rate,
            wanted_rate=rate,
        )

    def warm(self, gloss: Gloss) -> None:
        """Load the gloss's clip. Any thread; takes up to a second. Raises what the lexicon raises."""
        self._store.load(gloss.clip, gloss.spelled)

    def warmed(self, gloss: Gloss) -> bool:
        return self._store.ready(gloss.clip, gloss.spelled)

    def append(self, glosses: Sequence[tuple[int, Gloss]], state: LexiconState) -> None:
        """Sign these after what is pending. Clips that are not warm are loaded when their turn comes."""
        for index, gloss in glosses:
            clip = self._store.load(gloss.clip, gloss.spelled) if self.warmed(gloss) else None
            seconds = self._moving_s(gloss, clip) + self._pause_s(gloss, None)
            state.queue.append(Queued(index, gloss, clip, seconds))
            state.queued_s += seconds

    def seconds(self, gloss: Gloss) -> tuple[float, float]:
        """About how long a gloss moves, and stands after that, at rate 1."""
        clip = self._store.load(gloss.clip, gloss.spelled) if self.warmed(gloss) else None
        return self._moving_s(gloss, clip), self._pause_s(gloss, None)

    def interrupt(self, state: LexiconState) -> None:
        """Drop all that is pending; the next frame is on the way to rest."""
        state.queue.clear()
        state.queued_s = 0.0
        if state.phase is not Phase.REST:
            self._go_to_rest(state)

    def backlog_ms(self, state: LexiconState) -> float:
        """About how long the pending glosses take at the wanted rate."""
        seconds = state.queued_s
        if state.phase is Phase.SIGN and state.clip is not None:
            seconds += max(state.clip.leave - state.at, 0.0) / self._fps
        return 1000.0 * seconds / state.wanted_rate

    def step(self, state: LexiconState, pts_ns: int) -> MotionFrame:
        """The next frame. At most about a millisecond once clips are warm."""
        self._plan(state)
        pose, expression = state.inertia.step(*self._target(state))
        smplx, expression = self._enliven(state, pose, expression)
        frame = self._body.frame(smplx, expression, seq=state.frame, pts_ns=pts_ns, gloss=self._label(state))
        state.frame += 1
        return frame

    def step_unseen(self, state: LexiconState, pts_ns: int) -> Unseen:
        """The next frame without its motion: what follows is as after `step`. An eighth of the work."""
        self._plan(state)
        state.inertia.skip(partial(self._shown, state.clip, state.at, state.slides, state.mirrored))
        self._live(state)
        state.idle.skip(state.calm)
        unseen = Unseen(state.frame, pts_ns, self._label(state))
        state.frame += 1
        return unseen

    # -- the plan: which clip, which frame of it --------

    def _plan(self, state: LexiconState) -> None:
        state.rate_now += min(max(state.wanted_rate - state.rate_now, -0.3), 0.3)
        if state.phase is Phase.SIGN:
            self._play(state)
        elif state.phase is Phase.HOLD:
            self._hold(state)
        elif state.queue:
            self._begin(state)
        elif state.phase is Phase.READY:
            state.wait_s -= 1 / self._fps
            if state.wait_s <= 0:
                self._go_to_rest(state)
        elif state.mirrored != state.left_handed:
            self._go_to_rest(state)

    def _play(self, state: LexiconState) -> None:
        clip = state.clip
        assert clip is not None
        state.at += state.rate_now * self._pace(state, clip)
        window = min(clip.exit, self._timing.look_ahead_frames * state.rate_now)
        if state.goal is None and state.queue and state.at >= clip.leave - window:
            self._find_seam(state, clip)
        end = clip.leave if state.goal is None else state.goal
        if state.at < end:
            return
        state.at = float(end)
        assert state.current is not None
        gloss = state.current.gloss
        following = state.queue[0].gloss if state.queue else None
        state.wait_s = self._pause_s(gloss, following) * (1 - _SHORTER_PAUSE * state.brevity)
        if gloss.word_end:
            state.idle.blink(0.0 if following is None or following.caption_seq != gloss.caption_seq else 2.5)
        if state.wait_s <= 0 and state.queue:
            self._begin(state)
            return
        state.phase = Phase.HOLD
        if clip.moving:  # come to a stand instead of stopping dead
            pose, expression = self._target(state)
            state.inertia.jump(pose, expression, 0.2)

    def _hold(self, state: LexiconState) -> None:
        state.wait_s -= state.rate_now / self._fps
        if state.wait_s > 0:
            return
        if state.queue:
            assert state.clip is not None
            if state.goal is None:
                self._find_seam(state, state.clip)
            self._begin(state)
        else:
            state.phase, state.wait_s = Phase.READY, self._timing.ready_s

    def _pace(self, state: LexiconState, clip: Clip) -> float:
        """Clip frames per frame, 0..1 at rate 1: preparation in step with the way up, core after arrival."""
        length_frames = state.inertia.length_s * self._fps
        left = (1 - state.inertia.share) * length_frames
        if state.at < clip.enter and left > 0:
            return min(1.0, clip.enter / max(length_frames * state.rate_now, 1e-6))
        pace = min(max(1.0 - left / 2, 0.0), 1.0)
        return pace if clip.moving else pace * (1 + _SHORTER_HOLD * state.brevity)

    def _find_seam(self, state: LexiconState, clip: Clip) -> None:
        following = self._clip_of(state)
        if following is not None:
            state.goal, state.entry = find_seam(clip, following, int(np.ceil(state.at)))

    def _clip_of(self, state: LexiconState) -> Clip | None:
        """The clip of the first gloss in the queue; glosses without one are skipped, and that is said."""
        while state.queue:
            first = state.queue[0]
            if first.clip is None:
                try:
                    first.clip = self._store.load(first.gloss.clip, first.gloss.spelled)
                except (OSError, ValueError, LookupError) as error:  # the lexicon's files are not ours
                    log.warning("gloss %d (%s) is skipped: %s", first.index, first.gloss.label, error)
                    state.skipped.append((first.index, f"{first.gloss.label}: {error}"))
                    self._take(state)
                    continue
            return first.clip
        return None

    def _take(self, state: LexiconState) -> Queued:
        taken = state.queue.popleft()
        state.queued_s = max(state.queued_s - taken.seconds, 0.0) if state.queue else 0.0
        return taken

    def _begin(self, state: LexiconState) -> None:
        """Go over to the first gloss of the queue. Without a playable one, carry on to rest."""
        clip = self._clip_of(state)
        if clip is None:
            state.phase, state.wait_s = Phase.READY, self._timing.ready_s
            return
        before, before_clip = state.current, state.clip
        state.from_still = state.phase in (Phase.REST, Phase.READY)
        from_rest = state.phase is Phase.REST
        entry = state.entry if state.goal is not None else clip.enter
        current = self._take(state)
        doubled = (
            before is not None
            and before_clip is clip
            and not clip.moving
            and before.gloss.spelled
            and not before.gloss.word_end
        )
        state.slides = state.slides + 1 if doubled else 0
        state.current, state.clip, state.phase, state.goal = current, clip, Phase.SIGN, None
        state.mirrored = state.left_handed
        state.at = float(clip.enter)
        wanted, _ = self._target(state)
        least = self._timing.rest_transition_s if from_rest else self._least_s(current.gloss)
        length_s = self._length_s(state, wanted, clip.wrists[clip.enter], least / state.rate_now)
        state.at = 0.0 if from_rest else float(entry)
        state.inertia.jump(*self._target(state), length_s, eager=state.from_still)

    def _go_to_rest(self, state: LexiconState) -> None:
        state.phase, state.current, state.clip, state.goal = Phase.REST, None, None, None
        state.slides = 0
        state.mirrored = state.left_handed
        pose, expression = self._target(state)
        length_s = self._length_s(state, pose, self._rest_wrists, self._timing.rest_transition_s)
        state.inertia.jump(pose, expression, length_s)

    def _length_s(self, state: LexiconState, goal: FloatArray, wrists: FloatArray, least_s: float) -> float:
        if state.mirrored:
            wrists = wrists[::-1] * np.array([-1, 1, 1], np.float32)
        _, position = self._body.fk(rotvec_from_quaternion(state.inertia.pose))
        return transition_s(
            state.inertia.pose,
            position[[20, 21]],
            goal,
            wrists,
            least_s,
            self._timing,
            min(state.rate_now, _FASTER),
        )

    def _moving_s(self, gloss: Gloss, clip: Clip | None) -> float:
        if clip is None:
            return _LETTER_S if gloss.spelled else _SIGN_S
        return clip.core_frames / self._fps + self._least_s(gloss)

    def _least_s(self, gloss: Gloss) -> float:
        return self._timing.letter_transition_s if gloss.spelled else self._timing.sign_transition_s

    def _pause_s(self, gloss: Gloss, following: Gloss | None) -> float:
        if not gloss.word_end:
            return 0.0
        if following is not None and following.caption_seq != gloss.caption_seq:
            return self._timing.caption_pause_s
        return self._timing.spelled_pause_s if gloss.spelled else self._timing.sign_pause_s

    # -- what is shown --------

    def _label(self, state: LexiconState) -> int:
        if state.current is None or state.phase in (Phase.REST, Phase.READY):
            return IDLE
        arrived = state.from_still or state.inertia.share >= self._timing.arrived
        return state.current.index if arrived or state.phase is Phase.HOLD else IDLE

    def _target(self, state: LexiconState) -> tuple[FloatArray, FloatArray]:
        return self._shown(state.clip, state.at, state.slides, state.mirrored)

    def _shown(
        self, clip: Clip | None, at: float, slides: int, mirrored: bool
    ) -> tuple[FloatArray, FloatArray]:
        if clip is None:
            pose, expression = rest_quaternions(), rest_expression()
        else:
            pose, expression = clip.sample(at)
            expression = np.maximum(expression, 0.5 * rest_expression())
            if slides:
                pose = slide_aside(self._body, pose, slides * self._timing.slide_m)
        if mirrored:
            pose, expression = mirror_quaternions(pose), mirror_expression(expression)
        return pose, expression

    def _enliven(
        self, state: LexiconState, pose: FloatArray, expression: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Lay idle life over the planned pose: axis-angle [55, 3] and face units [52]."""
        self._live(state)
        life, lids, smile = state.idle.step(state.calm)
        life[_SIDED, 1:] *= np.float32(state.sides)  # breathing lifts both collar bones alike
        alive = pose.copy()
        alive[JOINTS] = multiply(pose[JOINTS], quaternion_from_rotvec(life))
        return rotvec_from_quaternion(alive), lay_over(expression, lids, smile)

    def _live(self, state: LexiconState) -> None:
        calm = 1.0 if state.phase is Phase.REST else _SIGNING_CALM
        state.calm += (calm - state.calm) / (_CALM_S * self._fps)
        side = -1.0 if state.mirrored else 1.0
        state.sides += min(max(side - state.sides, -0.2), 0.2)


def mirror_quaternions(pose: FloatArray) -> FloatArray:
    """[55, 4] reflected in the sagittal plane."""
    mirrored: FloatArray = pose[MIRROR_JOINTS] * _MIRROR_QUATERNION
    return mirrored
