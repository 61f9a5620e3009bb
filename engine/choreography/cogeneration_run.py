"""One run of the co-generation model for one signer: from where the hands are, gloss by gloss, to rest.

Enters: glosses as they come, the rate. Leaves: vectors of `engine.features`, corrected, with the gloss of
each. Does not know captions, left hands, idle life or the lexicon.

Frames are decoded ahead of what is given out, by as much as correction looks ahead and a little more, so that
looking ahead costs work and no waiting. What was decoded on an assumption that no longer holds (that the text
ends here, the rate) and was not given out yet is taken back with `rewind`; what was given out stands.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np
import torch

from engine.choreography.cogeneration_clock import GlossClock
from engine.choreography.cogeneration_frames import Ahead, Begun, Frame, Given, Waiting
from engine.choreography.cogeneration_lanes import CorrectorLike, Lane, Made, Told
from engine.choreography.cogeneration_model import CogenerationModel
from engine.nn.cogeneration import BLANK, OTHER, REST
from engine.signals import IDLE, FloatArray

__all__ = ["Ahead", "Given", "Run", "Waiting"]


@dataclass(eq=False)
class Run:
    """See the module. `queue` is shared with the choreography: glosses are taken from its front. `lane` is
    this run's alone, for as long as it lasts."""

    model: CogenerationModel
    corrector: CorrectorLike | None
    ahead: Ahead
    queue: deque[Waiting]
    rate: float
    lane: Lane
    clock: GlossClock = field(default_factory=GlossClock)
    present: Waiting | None = None
    resting: bool = False
    unfinished: int = 0
    """Glosses begun whose last frame has not been given out."""
    from_rest: bool = True
    fresh: bool = True
    """Nothing has been shown of it yet."""

    def __post_init__(self) -> None:
        look_ahead = 0 if self.corrector is None else self.corrector.config.look_ahead_frames
        self._look_ahead = look_ahead
        self._most = self.ahead.most(self.corrector)
        self._made: deque[Frame] = deque()
        self._corrected: dict[int, FloatArray] = {}
        self._count = self._pads = 0
        self._past: tuple[tuple[int, bool], ...] = ()
        self._performed = 0.0
        self._caught = 0
        self._begun: Begun | None = None
        self._failed: Exception | None = None
        self._language = 0
        self._device = self.model.network.distance.device

    # -- from outside --------------------------------------------------------------------------

    def start(self, vector: FloatArray, *, from_rest: bool) -> None:
        """Stand still at a frame [694]. from_rest: at rest, rather than after something the model has no word
        for."""
        self.lane.reset(self.model.channels.narrow(vector[None]))
        self.from_rest = from_rest
        self._past = ((REST if from_rest else OTHER, False),)

    def told(self) -> None:
        """The queue has grown: take back what was decoded of going to rest, and let the present gloss
        know."""
        back = 0
        for made in reversed(self._made):
            if not made.rests:
                break
            back += 1
        if back:
            self._rewind(back)
        if self.resting:
            self._end_rest()
        elif self.present is not None:
            self._focus()

    def retime(self, rate: float) -> None:
        """The rate has changed: what was not given out yet is made anew at that rate."""
        self.rate = rate
        if self._made:
            self._rewind(len(self._made))
        if (self.present is not None or self.resting) and not self.clock.over:
            self.clock.stretch(self._focus())

    def next(self) -> Given | None:
        """The next frame; None when the run is over: at rest, or before a gloss the model does not know."""
        if self._failed is not None:
            raise RuntimeError(f"co-generation: {self._failed}") from self._failed
        while self.wants:
            self.take(self.lane.step(self.begin()))
        self._caught = 0
        first = self._made[0]
        if first.begun.pads:
            return None
        self._made.popleft()
        vector = self._corrected.pop(first.number, first.vector)
        self.unfinished -= first.ends
        return Given(vector, first.label, first.begun.gloss is not None, first.ends, first.doubled)

    @property
    def wants(self) -> bool:
        """Something is still to be decoded before the next frame is given out."""
        if self._failed is not None:
            return False
        if len(self._made) <= self._look_ahead:
            return True
        return self._caught < self.ahead.catch_up and len(self._made) < self._most and not self._pads

    @property
    def frames_left(self) -> int:
        """Frames of glosses begun that are not given out yet, about."""
        return len(self._made) - self._pads + (0 if self.resting else self.clock.left)

    # -- decoding ------------------------------------------------------------------------------

    def begin(self) -> Told:
        """Go on to the next frame: what its decoding has to be told. `take` must follow."""
        clock, present, resting, past = self.clock.copy(), self.present, self.resting, self._past
        begins, pads = None, False
        if self.clock.over:
            if self.resting or (self.queue and self.queue[0].token is None):
                pads = True
            else:
                begins = self._next_gloss()
        if not pads:
            self.clock.tick()
        self._begun = Begun(begins, pads, clock, present, resting, past)
        clock = self.clock
        return clock.progress, float(max(clock.elapsed, 1)), float(clock.left), math.log(self.rate)

    def take(self, made: Made) -> None:
        """What was decoded of the frame begun. Raises RuntimeError where it is no number."""
        begun, (vector, corrected) = self._begun, made
        assert begun is not None
        if not np.isfinite(vector).all():
            raise RuntimeError("co-generation: the model made a frame with NaN; the signer begins anew")
        if corrected is not None:
            self._corrected[self._count - self._look_ahead] = corrected
        index = IDLE
        if self.present is not None and self.clock.progress >= self._performed:
            index = self.present.index
        ends = self.clock.over and self.present is not None and not begun.pads
        self._caught += len(self._made) > self._look_ahead
        self._pads += begun.pads
        self._made.append(Frame(self._count, vector, index, ends, self.resting, self._doubled(), begun))
        self._count += 1

    def fail(self, error: Exception) -> None:
        """It was decoded with others and failed: `next` raises it, where it is this signer's own matter."""
        self._failed = error

    def _next_gloss(self) -> Waiting | None:
        """Go over to the next gloss, or to rest where there is none. Returns the gloss."""
        if self.present is not None:
            token = self.present.token
            assert token is not None
            self._past = ((token, self.present.gloss.word_end), *self._past)[
                : self.model.network.config.around
            ]
        begins = None
        if self.queue:
            begins = self.present = self.queue.popleft()
            self.unfinished += 1
        else:
            self.present, self.resting = None, True
        self.clock.start(self._focus())
        return begins

    def _doubled(self) -> int:
        token = None if self.present is None else self.present.token
        return sum(1 for _ in itertools.takewhile(lambda before: before == (token, False), self._past))

    def _end_rest(self) -> None:
        """Glosses came while the hands go to rest: the next one begins from where they are."""
        self.resting = False
        self._past = ((REST, False),)
        self.clock = GlossClock(owed=self.clock.owed)

    def _focus(self) -> float:
        """Tell the decoder of the present gloss and its neighbours; how many frames it takes."""
        net, around = self.model.network, self.model.network.config.around
        after: list[tuple[int, bool]] = []
        token, word_end = REST, False
        if self.present is not None:
            assert self.present.token is not None
            gloss = self.present.gloss
            token, word_end = self.present.token, gloss.word_end
            self._language = self.model.language(gloss.language)
            for waiting in itertools.islice(self.queue, around):
                if waiting.token is None:
                    break
                after.append((waiting.token, waiting.gloss.word_end))
            after.append((REST, False))  # as far as is known
        after = [*after, *[(BLANK, False)] * around][:around]
        before = [*self._past, *[(BLANK, False)] * around][:around]
        window = [*reversed(before), (token, word_end), *after]
        with torch.inference_mode():
            device = self._device
            tokens = torch.tensor([[t for t, _ in window]], device=device)
            ends = torch.tensor([[e for _, e in window]], device=device)
            memory = net.encode(tokens, torch.tensor([self._language], device=device), ends)
            self.lane.focus(net.focus(memory, tokens))
            frames, performed = net.timing(memory, torch.tensor([math.log(self.rate)], device=device))
        still = bool(self._past) and self._past[0][0] in (REST, OTHER)
        self._performed = 2.0 if self.present is None else 0.0 if still else float(performed[0])
        return float(frames[0])

    # -- taking back ---------------------------------------------------------------------------

    def _rewind(self, frames: int) -> None:
        """As if the last `frames` decoded had never been; their glosses wait again."""
        for _ in range(frames):
            made = self._made.pop()
            begun = made.begun
            if begun.gloss is not None:
                self.queue.appendleft(begun.gloss)
                self.unfinished -= 1
            self._pads -= begun.pads
            self.clock, self.present = begun.clock, begun.present
            self.resting, self._past = begun.resting, begun.past
            self._count = made.number
        self.lane.rewind(frames)
        for number in [n for n in self._corrected if n >= self._count - self._look_ahead]:
            del self._corrected[number]
        if self.present is not None or self.resting:
            self._focus()
