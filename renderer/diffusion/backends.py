"""The denoiser made fast: compiled, captured as a CUDA graph, or built by TensorRT; proven equal, or left be.

Enters: a denoiser, example inputs, what is wanted. Leaves: a `Core` that is called like the denoiser, and the
reason where it is another than wanted. Does not know steps or frames. Nothing is fatal here: what cannot be
had on this machine is logged, and the plain network is used.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from renderer.diffusion.denoiser import Denoiser, Reference

log = logging.getLogger(__name__)
Inputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, tuple[Tensor, ...], Reference]
"""noisy, sigma, previous, known, style, pose, reference: see `Denoiser.forward`."""
Call = Callable[..., Tensor]
COMPILER = "inductor"
WARM_UP = 3
TOLERANCES = {torch.float32: 1e-3, torch.bfloat16: 0.15, torch.float16: 0.03}
"""How far a backend may be from the plain network, for a v of about unit size: the precision's rounding."""


@dataclass(frozen=True)
class Core:
    """call: as the denoiser. name: what it is. reason: why not what was wanted, else empty. error: the most
    difference from the plain network on the example."""

    call: Call
    name: str
    reason: str = ""
    error: float = 0.0


def build(denoiser: Denoiser, wanted: str, example: Inputs, *others: Inputs) -> Core:
    """The fastest of what is wanted that works here and agrees with the plain network on all examples: it is
    made for the first, and one that is called with others must not answer as if it had not been.

    wanted: one of `config.BACKENDS`. `graphs` captures the compiled network, or the plain one where compiling
    fails. `auto` is `graphs` on a CUDA device and `eager` elsewhere.
    """
    on_gpu = example[0].is_cuda
    if wanted == "auto":
        wanted = "graphs" if on_gpu else "eager"
    every = (example, *others)
    with torch.inference_mode():
        expected = [denoiser(*inputs).clone() for inputs in every]
    reasons = []
    for name, make in _ways(denoiser, wanted, on_gpu):
        try:
            with torch.inference_mode():
                call = make(example)
                # another example first: what was left by the capture would be right for the one it is of
                error = max(_apart(call(*a), e) for a, e in reversed([*zip(every, expected, strict=True)]))
        except Exception as failure:  # the device boundary: compilers and drivers raise anything
            reasons.append(f"{name}: {type(failure).__name__}: {str(failure).partition(chr(10))[0][:200]}")
            continue
        if error <= TOLERANCES[example[0].dtype]:
            reason = "; ".join(reasons)
            if reason:
                log.warning("video renderer: %s is used instead of %s (%s)", name, wanted, reason)
            return Core(call, name, reason, error)
        reasons.append(f"{name}: differs from the plain network by {error:.2g}")
    reason = "; ".join(reasons)
    if wanted != "eager":
        log.warning("video renderer: the plain network is used instead of %s (%s)", wanted, reason)
    return Core(denoiser, "eager", reason)


def _apart(one: Tensor, other: Tensor) -> float:
    """The most difference; NaN counts as endless."""
    return float((one.float() - other.float()).abs().nan_to_num(torch.inf).max())


def _ways(denoiser: Denoiser, wanted: str, on_gpu: bool) -> list[tuple[str, Callable[[Inputs], Call]]]:
    """What to try for a wish, best first."""
    compiled = ("compile", lambda example: _compiled(denoiser))
    if wanted == "compile":
        return [compiled]
    if wanted == "tensorrt":
        return [("tensorrt", lambda example: _tensorrt(denoiser, on_gpu)), *_ways(denoiser, "graphs", on_gpu)]
    if wanted == "graphs":
        ways: list[tuple[str, Callable[[Inputs], Call]]] = [
            ("graphs of compiled", lambda example: captured(_compiled(denoiser), example)),
            ("graphs", lambda example: captured(denoiser, example)),
        ]
        return ways if on_gpu else [("graphs", _no_graphs)]
    return []


def _no_graphs(example: Inputs) -> Call:
    raise RuntimeError("CUDA graphs need a CUDA device")


def _compiled(denoiser: Denoiser) -> Call:
    made: Call = torch.compile(denoiser, backend=COMPILER, fullgraph=True, dynamic=False)
    return made


def _tensorrt(denoiser: Denoiser, on_gpu: bool) -> Call:
    if not on_gpu:
        raise RuntimeError("TensorRT needs a CUDA device")
    import torch_tensorrt  # noqa: F401 - registers the backend

    made: Call = torch.compile(denoiser, backend="torch_tensorrt", dynamic=False)
    return made


def captured(call: Call, example: Inputs) -> Call:
    """One CUDA graph of a call: replayed, it costs one launch. The next call overwrites what it returned.

    Warm-up and capture share a stream, so that libraries make their handles before the capture; errors of
    other threads (encoders) are not this one's.
    """
    flat, shape = _flatten(example)
    # noisy, sigma, previous, known, and all of the pose move; style and reference stay as they are
    static = [t.clone() if n < 4 or 5 <= n < 6 + shape else t for n, t in enumerate(flat)]
    device = example[0].device
    with torch.cuda.device(device):
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                call(*_restore(static, shape))
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            out = call(*_restore(static, shape))
        torch.cuda.current_stream().wait_stream(stream)

    def replay(*inputs: Any) -> Tensor:
        for held, given in zip(static, _flatten(inputs)[0], strict=True):
            if held.data_ptr() != given.data_ptr():
                held.copy_(given)
        with torch.cuda.device(device):
            graph.replay()
        return out

    return replay


def _flatten(inputs: Any) -> tuple[list[Tensor], int]:
    """All tensors of the inputs in a row, and how many levels the reference has (the pose has one more)."""
    *plain, pose, reference = inputs
    return [*plain, *pose, *reference.levels, *reference[1:]], len(reference.levels)


def _restore(flat: list[Tensor], levels: int) -> Inputs:
    noisy, sigma, previous, known, style, *parts = flat
    pose, parts = tuple(parts[: levels + 1]), parts[levels + 1 :]
    reference = Reference(tuple(parts[:levels]), *parts[levels:])
    return noisy, sigma, previous, known, style, pose, reference
