"""Signing from the co-generation model, frame by frame, and from the lexicon for what the model does not
know.

Enters: numbered glosses. Leaves: a `MotionFrame` a step. Does not know text, threads or pictures.

The model signs the glosses it has words for (letters of the languages it learned); the others are performed
by `LexiconChoreography` from where the hands are, and the model goes on from where they end. Rest, too, is
the lexicon's: its idle life is laid over everything. `CogenerationChoreography.fallbacks` counts what the
model did not know, and the log says each of it once.

Causal as the lexicon's choreography is: a frame that was given out depends on nothing appended later.
Glosses that come late change what was decoded ahead and not yet given out (see `cogeneration_run`).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engine.body import Body, load_body
from engine.checkpoint import CONFIG
from engine.choreography.cogeneration_emit import carry
from engine.choreography.cogeneration_lanes import CorrectorLike, device_for
from engine.choreography.cogeneration_model import DEFAULT, CogenerationModel
from engine.choreography.cogeneration_run import Ahead, Given, Run, Waiting
from engine.choreography.cogeneration_signing import CogenerationSigning, Source
from engine.choreography.cogeneration_together import decode_together
from engine.choreography.config import Timing
from engine.choreography.lexical import LexiconChoreography, mirror_quaternions
from engine.choreography.slide import slide_aside
from engine.choreography.state import Phase
from engine.choreography.store import MotionSource
from engine.features import pack, unpack
from engine.rotations import quaternion_from_rotvec, rotvec_from_quaternion
from engine.signals import FloatArray, Gloss, MotionFrame
from engine.skeleton import mirror_expression, mirror_hands, mirror_pose, mirror_smplx

__all__ = ["CORRECTOR", "CogenerationChoreography", "CogenerationSigning", "Source"]

log = logging.getLogger(__name__)

_LETTER_S, _SIGN_S = 0.36, 1.0
"""About how long a gloss takes at rate 1, before its turn comes."""
_RISE_S, _SEAM_S = 0.16, 0.3
"""How long the difference takes to fade from rest to the model, and from signs or the other hand to it."""


_ASIDE_M = 0.02
"""How far the hand steps aside in a frame, at most."""
CORRECTOR = DEFAULT.parent / "corrector"
"""The corrector that is shipped."""


class CogenerationChoreography:
    """See the module. One choreography may serve many signers of one inference thread."""

    def __init__(
        self,
        lexicon: MotionSource,
        model: CogenerationModel,
        *,
        corrector: CorrectorLike | None = None,
        fps: float = 25.0,
        timing: Timing = Timing(),  # noqa: B008 (frozen)
        ahead: Ahead = Ahead(),  # noqa: B008 (frozen)
        body: Body | None = None,
    ) -> None:
        """Raises ValueError where the model generates another number of frames a second."""
        if fps != model.fps:
            raise ValueError(
                f"co-generation: the model generates {model.fps:g} frames a second, got {fps:g}; choose "
                f"--fps {model.fps:g}, or the lexicon's choreography"
            )
        self._body = body or load_body()
        self._lexical = LexiconChoreography(lexicon, fps=fps, timing=timing, body=self._body)
        self._model, self._corrector, self._ahead, self._timing = model, corrector, ahead, timing
        model.network.to(device_for(ahead.speed))
        self._lanes = ahead.lanes(model, corrector)
        self.fallbacks: Counter[str] = Counter()
        """Glosses that the lexicon performed, by language and label."""

    @classmethod
    def load(
        cls,
        model: Path | None,
        lexicon: MotionSource,
        *,
        fps: float = 25.0,
        corrector: Path | None = None,
        correct: bool = True,
        speed: str = "auto",
    ) -> CogenerationChoreography:
        """From folders; None: what is shipped. correct: with the corrector, if there is one. speed: how steps
        are computed, see `cogeneration_lanes`.

        Raises ValueError where a folder holds no such model, with the remedy.
        """
        from engine.corrector import Corrector

        opened = None
        if corrector is not None or (correct and (CORRECTOR / CONFIG).exists()):
            opened = Corrector.open(corrector or CORRECTOR)
        ahead = Ahead(speed=speed)
        return cls(lexicon, CogenerationModel.open(model), corrector=opened, fps=fps, ahead=ahead)

    @property
    def fps(self) -> float:
        return self._lexical.fps

    def open(self, *, seed: int = 0, rate: float = 1.0, left_handed: bool = False) -> CogenerationSigning:
        life = self._lexical.open(seed=seed, rate=rate, left_handed=left_handed)
        return CogenerationSigning(life, rate_made=rate)

    def warm(self, gloss: Gloss) -> None:
        """Make ready what the gloss needs: nothing for one that the model knows."""
        if self._model.token(gloss) is None:
            self._lexical.warm(gloss)

    def warmed(self, gloss: Gloss) -> bool:
        return self._model.token(gloss) is not None or self._lexical.warmed(gloss)

    def append(self, glosses: Sequence[tuple[int, Gloss]], state: CogenerationSigning) -> None:
        """Sign these after what is pending."""
        for index, gloss in glosses:
            token = self._model.token(gloss)
            if token is None:
                self._tell(gloss)
            state.queue.append(Waiting(index, gloss, token))
        if glosses and state.run is not None:
            state.run.told()

    def interrupt(self, state: CogenerationSigning) -> None:
        """Drop all that is pending; the next frame is on the way to rest."""
        state.queue.clear()
        if state.run is not None:
            self._stand(state)
        self._lexical.interrupt(state.life)

    def backlog_ms(self, state: CogenerationSigning) -> float:
        """About how long the pending glosses take at the wanted rate."""
        seconds = sum(_LETTER_S if waiting.gloss.spelled else _SIGN_S for waiting in state.queue)
        now = self._lexical.backlog_ms(state.life) if state.source is Source.LEXICON else 0.0
        if state.run is not None:
            now = 1000 * state.run.frames_left / self.fps
        return 1000 * seconds / state.rate + now

    def step(self, state: CogenerationSigning, pts_ns: int) -> MotionFrame:
        """The next frame."""
        if state.source is Source.LEXICON and state.queue:
            self._choose(state)
        if state.run is not None:
            frame = self._generate(state, pts_ns)
            if frame is not None:
                return frame
            self._choose(state)
        return self._lexical.step(state.life, pts_ns)

    def together(self, states: Sequence[CogenerationSigning]) -> None:
        """Before each of them is stepped: decode what they need in common steps. Changes no frame, only how
        long they take; may be left out."""
        runs = [s.run for s in states if s.run is not None and s.rate_made == s.life.rate]
        if len(runs) > 1:
            decode_together(runs)

    # -- who makes the frames --------

    def _choose(self, state: CogenerationSigning) -> None:
        """Hand the first of the queue to whoever performs it, once the hands are free for it."""
        while state.queue and state.queue[0].token is None:
            waiting = state.queue.popleft()
            self._lexical.append([(waiting.index, waiting.gloss)], state.life)
        if state.queue and not state.life.pending:
            self._start(state)

    def _start(self, state: CogenerationSigning) -> None:
        life = state.life
        lane = self._lanes.take()
        run = Run(self._model, self._corrector, self._ahead, state.queue, life.rate, lane)
        pose, expression = life.inertia.pose, life.inertia.expression
        if life.mirrored:
            pose, expression = mirror_quaternions(pose), mirror_expression(expression)
        smplx = rotvec_from_quaternion(pose)
        now = self._body.frame(smplx, np.clip(expression, 0, 1), seq=0, pts_ns=0, gloss=-1)
        run.start(pack(now), from_rest=life.phase is Phase.REST)
        state.run, state.source, state.rate_made = run, Source.MODEL, life.rate
        life.phase, life.clip, life.current, life.goal = Phase.READY, None, None, None
        life.slides = 0
        life.wait_s = self._timing.ready_s

    def _stand(self, state: CogenerationSigning) -> None:
        """The run is over: the hands are the lexicon's again, where they are."""
        if state.run is not None:
            state.run.lane.give()
        state.run, state.source, state.aside_m = None, Source.LEXICON, 0.0

    # -- generated frames --------

    def _generate(self, state: CogenerationSigning, pts_ns: int) -> MotionFrame | None:
        """The run's next frame, or None where it is over (then it is put away)."""
        run, life = state.run, state.life
        assert run is not None
        life.rate_now += min(max(life.wanted_rate - life.rate_now, -0.3), 0.3)
        if state.rate_made != life.rate:
            state.rate_made = life.rate
            run.retime(life.rate)
        given = run.next()
        if given is None:
            rested = run.resting
            self._stand(state)
            if rested and not state.queue:
                self._lexical._go_to_rest(life)
                life.inertia.jump(*self._lexical._target(life), _RISE_S)  # it is all but there
            return None
        return self._show(given, state, pts_ns)

    def _show(self, given: Given, state: CogenerationSigning, pts_ns: int) -> MotionFrame:
        life = state.life
        if not np.isfinite(given.vector).all():
            raise RuntimeError("co-generation: the model made a frame with NaN; the signer begins anew")
        pose, hands, smplx, expression = unpack(given.vector)
        turned = given.begins and life.mirrored != life.left_handed
        if turned:
            life.mirrored = life.left_handed
        quaternions = self._put_aside(quaternion_from_rotvec(smplx), given, state)
        if life.mirrored:
            pose, hands, smplx = mirror_pose(pose), mirror_hands(hands), mirror_smplx(smplx)
            quaternions, expression = mirror_quaternions(quaternions), mirror_expression(expression)
        if turned or state.run is None or state.run.fresh:
            rising = not turned and state.run is not None and state.run.from_rest
            life.inertia.jump(quaternions, expression, _RISE_S if rising else _SEAM_S, eager=rising)
            if state.run is not None:
                state.run.fresh = False
        if given.ends:
            life.idle.blink(2.5)
        shown, face = life.inertia.step(quaternions, expression)
        alive, face = self._lexical._enliven(life, shown, face)
        frame = carry(
            self._body, pose, hands, smplx, alive, face, seq=life.frame, pts_ns=pts_ns, gloss=given.label
        )
        life.frame += 1
        return frame

    def _put_aside(self, quaternions: FloatArray, given: Given, state: CogenerationSigning) -> FloatArray:
        """The step aside between doubled letters, which a model may have seen too seldom to learn it."""
        if self._model.steps_aside:
            return quaternions
        change = given.doubled * self._timing.slide_m - state.aside_m
        state.aside_m += min(max(change, -_ASIDE_M), _ASIDE_M)
        return slide_aside(self._body, quaternions, state.aside_m) if state.aside_m else quaternions

    # -- what is not known --------

    @property
    def remark(self) -> str:
        """What a user is told of glosses that the model did not know; empty where there were none."""
        if not self.fallbacks:
            return ""
        named = ", ".join(sorted(self.fallbacks)[:8]) + (" and more" if len(self.fallbacks) > 8 else "")
        count = sum(self.fallbacks.values())
        return f"{count} of the signs came from the lexicon: the co-generation model does not know {named}"

    def recorded(self, gloss: Gloss) -> bool:
        """Whether a gloss comes from a recording of the lexicon, because the model does not know it."""
        return self._model.token(gloss) is None

    def _tell(self, gloss: Gloss) -> None:
        word = f"{gloss.language}/{gloss.label}"
        self.fallbacks[word] += 1
        if self.fallbacks[word] == 1:
            log.info("co-generation: the model does not know %s; it is signed from the lexicon", word)
