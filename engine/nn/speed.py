"""A faster step of the joint generator, chosen by name: compiled, a CUDA graph, TensorRT; or torch as it is.

Enters: a `Cogenerator`, a state, a name. Leaves: a function from progress to the next frame, that equals
`Cogenerator.step`. Does not know signers. (By hand in numpy, for one row on a CPU: `cogeneration_quick`.)

    step, used = open_step(network, state, "cuda-graph")
    frame = step(progress)          # [M, B, C]; the state is moved on

Before a fast step is handed out it makes a few frames beside the plain one, on states of their own, and they
must agree to `CLOSE`. Where it cannot be built here (no GPU, no compiler, no torch-tensorrt), fails or
differs, the plain step is handed out, and the log says why.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from engine.nn.cogeneration import PROGRESS, STREAMS, CogenerationState, Cogenerator

log = logging.getLogger(__name__)

SPEEDS: Final = ("eager", "compile", "cuda-graph", "tensorrt")
CLOSE: Final = 1e-4
"""Largest difference (normalised units) between a fast step and the plain one, over `_PROOF` frames."""
_PROOF = 6
_WARM = 3
"""Steps before a capture, as torch's notes on CUDA graphs ask for: they set up libraries and memory."""

Step = Callable[[Tensor], Tensor]
_Compiled = Callable[[Tensor, CogenerationState], Tensor]
_proven: WeakKeyDictionary[Cogenerator, set[tuple[str, int, int]]] = WeakKeyDictionary()


class Unavailable(Exception):
    """Why a fast step cannot be had here."""


def open_step(network: Cogenerator, state: CogenerationState, speed: str) -> tuple[Step, str]:
    """A step of `state`, and by which means: the one asked for, or `eager`. Raises ValueError for an unknown
    name."""
    if speed not in SPEEDS:
        raise ValueError(f"speed: got {speed!r}, expected one of {', '.join(SPEEDS)}")
    if speed == "eager":
        return plain_step(network, state), speed
    rows, rewind = state.history.shape[1], state.history.shape[2] - 2
    proven = _proven.setdefault(network, set())
    try:
        if (speed, rows, rewind) not in proven:
            states = [network.open(rows, rewind) for _ in range(2)]
            _prove(_build(network, states[0], speed), plain_step(network, states[1]), states)
            proven.add((speed, rows, rewind))
        return _build(network, state, speed), speed
    except Exception as error:  # compilers fail in ways of their own: signing goes on without
        reason = str(error).strip().splitlines() or [type(error).__name__]
        log.warning("co-generation: no step by %s here, it goes on in plain torch: %s", speed, reason[0])
        return plain_step(network, state), "eager"


def plain_step(network: Cogenerator, state: CogenerationState) -> Step:
    """`Cogenerator.step`."""
    return lambda progress: network.step(progress, state)


def _build(network: Cogenerator, state: CogenerationState, speed: str) -> Step:
    if speed == "cuda-graph":
        return _captured(network, state)
    advance = _compile(network, speed)

    def step(progress: Tensor) -> Tensor:
        frame = advance(progress, state)
        state.ring.advance()
        return frame

    return step


def _compile(network: Cogenerator, speed: str) -> _Compiled:
    """The network's compiled step: once for all states of one shape."""
    made: dict[str, _Compiled] = network.__dict__.setdefault("_compiled", {})  # it goes when the network goes
    if speed not in made:
        if speed == "tensorrt":
            if not network.distance.is_cuda:
                raise Unavailable("TensorRT needs a GPU, and the network is on the CPU")
            try:
                import torch_tensorrt  # noqa: F401 (registers the backend)
            except ImportError as error:
                raise Unavailable(f"{error}; install it with pip install 'handstream[tensorrt]'") from error
            options: dict[str, str | int | bool | Callable[..., Any]] = {
                "disable_tf32": True,
                "min_block_size": 1,
            }
            made[speed] = torch.compile(
                network.step_by_tensors, backend="torch_tensorrt", dynamic=False, options=options
            )
        else:
            made[speed] = torch.compile(network.step_by_tensors, dynamic=False)
    return made[speed]


def _captured(network: Cogenerator, state: CogenerationState) -> Step:
    """A CUDA graph of one step: the state's tensors are what it reads and writes, wherever they are then.

    The ring is moved on outside, in place: position is a tensor of the state, too.
    """
    if not network.distance.is_cuda:
        raise Unavailable("a CUDA graph needs a GPU, and the network is on the CPU")
    device = network.distance.device
    progress = torch.zeros((state.history.shape[1], PROGRESS), device=device)
    kept = state.history.clone(), state.ring.keys.clone(), state.ring.values.clone()
    here = torch.cuda.current_stream(device)
    beside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    beside.wait_stream(here)
    with torch.cuda.stream(beside), torch.inference_mode():
        for _ in range(_WARM):
            network.step_by_tensors(progress, state)
    here.wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    # thread_local: what other threads (renderers) ask of the GPU meanwhile is not ours.
    with torch.inference_mode(), torch.cuda.graph(graph, capture_error_mode="thread_local"):
        frame = network.step_by_tensors(progress, state)
    for now, before in zip((state.history, state.ring.keys, state.ring.values), kept, strict=True):
        now.copy_(before)  # warming up has written where the first step will

    def step(given: Tensor) -> Tensor:
        progress.copy_(given)
        graph.replay()
        state.ring.advance()
        return frame.clone()

    return step


@torch.inference_mode()
def _prove(fast: Step, plain: Step, states: list[CogenerationState]) -> None:
    """A few frames of both from the same start; what they are told, and where they begin, is noise."""
    first = states[0].history
    noise = torch.Generator().manual_seed(0)
    start = torch.randn((STREAMS, first.shape[1], first.shape[3]), generator=noise).to(first.device)
    focus = states[0].focus
    for told in (focus.bias, focus.keys, focus.values, focus.anchors):
        told.copy_(torch.randn(told.shape, generator=noise))
    states[1].focus.put(list(range(first.shape[1])), focus)
    for state in states:
        state.reset(start)
    for number in range(_PROOF):
        progress = torch.rand((first.shape[1], PROGRESS), generator=noise).to(first.device)
        one, other = fast(progress), plain(progress)
        apart = float((one - other).abs().max())
        if not apart <= CLOSE:
            raise Unavailable(f"frame {number} is {apart:.2g} from plain torch's, more than {CLOSE:g}")
