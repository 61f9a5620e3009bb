"""Frames in, pictures out, one after the other: direct, or as a stream batch.

Enters: the gate's maps of one frame a call. Leaves: pictures -1..1. Does not know motion or pixels' formats.

direct: a picture is finished before the next begins; the previous picture is known to every step.
stream: of `steps` pictures in flight each call advances all, in one batch, and finishes the oldest (as
StreamDiffusion, Kodaira et al. 2023). A picture comes steps - 1 calls after its frame; each of its steps is
told the newest finished picture, so the last one is told the very picture before it, as in direct.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import torch
from torch import Tensor

from renderer.diffusion.backends import Call, Inputs
from renderer.diffusion.denoiser import Denoiser, Reference
from renderer.diffusion.samplers import STEPS, pairs, schedule


@dataclass
class StreamState:
    """previous [1, 3, S, S], known: the newest finished picture, if any. flight: (x, pose) of frames under
    way, oldest first. calls: so many frames were taken."""

    previous: Tensor
    known: bool = False
    flight: deque[tuple[Tensor, tuple[Tensor, ...]]] = field(default_factory=deque)
    calls: int = 0


class FrameStream:
    """A model, a signer and a style; the state is an argument."""

    def __init__(
        self,
        denoiser: Denoiser,
        kind: str,
        reference: Reference,
        style: int,
        steps: int,
        stream: bool,
        seed: int = 0,
    ) -> None:
        """reference: of one row. call it before the core is set: `rows` tells for how many rows it is."""
        level = reference.levels[0]
        self.denoiser, self.stream = denoiser, stream and steps > 1
        self.rows = steps if self.stream else 1
        self.device, self.dtype = level.device, level.dtype
        size = denoiser.config.size
        self._pairs = pairs(schedule(steps))
        self._step = STEPS[kind]
        self._reference = reference.repeated(self.rows)
        self._reference = Reference(
            tuple(part.contiguous() for part in self._reference.levels),
            *(part.contiguous() for part in self._reference[1:]),
        )
        self._style = torch.full((self.rows,), style, device=self.device)
        noise = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(seed))
        self._noise = noise.to(self.device, self.dtype)
        # the newest frame is first in its batch, so the rows' sigmas fall
        self._now, self._then = (
            torch.tensor([pair[which] for pair in self._pairs], device=self.device) for which in (0, 1)
        )
        self.core: Call = denoiser

    def open(self) -> StreamState:
        """No frame yet."""
        return StreamState(torch.zeros_like(self._noise))

    @property
    def delay(self) -> int:
        """So many frames later than its motion a picture comes."""
        return self.rows - 1

    def examples(self) -> tuple[Inputs, Inputs]:
        """Inputs of the core, of the shapes it will be called with: two that differ in all that moves."""
        drawn = self.denoiser.config.map_size
        shape = (self.rows, 3, 3, drawn, drawn)
        noisy = self._noise.expand(self.rows, -1, -1, -1).contiguous()
        made = []
        for number in (0, 1):
            maps = torch.full(shape, number / 2, device=self.device, dtype=self.dtype)
            known = torch.full((self.rows,), 1.0 - number, device=self.device, dtype=self.dtype)
            sigma = self._now[: self.rows].contiguous() if number == 0 else self._now[-self.rows :].flip(0)
            with torch.inference_mode():
                pose = self.denoiser.pose(maps)
            x = noisy.clone() if number == 0 else noisy.flip(-1)
            made.append((x, sigma, x.flip(-2), known, self._style, pose, self._reference))
        return made[0], made[1]

    @torch.inference_mode()
    def advance(self, maps: Tensor, state: StreamState) -> Tensor:
        """maps [1, 3, 3, M, M] of the next frame -> the picture [1, 3, S, S] that is finished now.

        A stream that has only begun is filled with its first frame, which takes `steps` batches once.
        """
        pose = self.denoiser.pose(maps.to(self.device, self.dtype))
        state.calls += 1
        if not self.stream:
            return self._finish(self._direct(pose, state), state)
        if not state.flight:
            for _ in range(self.delay):
                self._enter(pose, state)
                self._batch(state)
        self._enter(pose, state)
        done = self._batch(state)
        assert done is not None, "a full flight finishes one picture a call"
        return self._finish(done, state)

    def _direct(self, pose: tuple[Tensor, ...], state: StreamState) -> Tensor:
        x = self._noise
        known = torch.full((1,), float(state.known), device=self.device, dtype=self.dtype)
        for number in range(len(self._pairs)):
            now, then = self._now[number : number + 1], self._then[number : number + 1]
            v = self.core(x, now, state.previous, known, self._style, pose, self._reference)
            x = self._stepped(x, v, self._noise, now, then)
        return x

    def _stepped(self, x: Tensor, v: Tensor, noise: Tensor, now: Tensor, then: Tensor) -> Tensor:
        """In float32: what is left of little noise is a small difference."""
        return self._step(x.float(), v.float(), noise.float(), now, then).to(self.dtype)

    def _enter(self, pose: tuple[Tensor, ...], state: StreamState) -> None:
        state.flight.append((self._noise, pose))

    def _batch(self, state: StreamState) -> Tensor | None:
        """Advance every frame in flight by one step; the batch is always full, idle rows are thrown away."""
        flight = list(reversed(state.flight))  # newest, so noisiest, first
        rows = flight + [flight[-1]] * (self.rows - len(flight))
        x = torch.cat([x for x, _ in rows])
        pose = tuple(torch.cat(level) for level in zip(*(p for _, p in rows), strict=True))
        previous = state.previous.expand_as(x).contiguous()
        known = torch.full((self.rows,), float(state.known), device=self.device, dtype=self.dtype)
        v = self.core(x, self._now, previous, known, self._style, pose, self._reference)
        noise = self._noise.expand_as(x)
        x = self._stepped(x, v, noise, self._now, self._then)
        state.flight = deque((x[row : row + 1], flight[row][1]) for row in reversed(range(len(flight))))
        return state.flight.popleft()[0] if len(flight) == self.rows else None

    def _finish(self, x: Tensor, state: StreamState) -> Tensor:
        state.previous, state.known = x.clamp(-1, 1), True
        return state.previous
