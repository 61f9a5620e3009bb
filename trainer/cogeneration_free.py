"""Free-running generation, many utterances at once: what a model is measured on.

Enters: a `CogenerationModel` and glosses. Leaves: frames, generated from glosses alone, and figures beside
the truth. Does not know training.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.choreography.cogeneration_clock import GlossClock
from engine.choreography.cogeneration_model import CogenerationModel
from engine.nn.cogeneration import progress_features
from engine.signals import FloatArray
from trainer.cogeneration_data import Utterance, window


def times_of(lengths: Sequence[float]) -> tuple[list[int], list[tuple[float, int, int]]]:
    """For every frame of glosses of these (generated) lengths: whose it is, and (progress, elapsed, left)."""
    clock, owner, times = GlossClock(), [], []
    for number, frames in enumerate(lengths):
        clock.start(frames)
        while not clock.over:
            clock.tick()
            owner.append(number)
            times.append((clock.progress, clock.elapsed, clock.left))
    return owner, times


@torch.inference_mode()
def memory_of(model: CogenerationModel, u: Utterance) -> tuple[Tensor, Tensor]:
    """Memory [G, N, E] of an utterance's glosses, each from its window of tokens [G, N], and those."""
    net = model.network
    around = net.config.around
    windows = [window(u.tokens.tolist(), u.word_ends.tolist(), i, around) for i in range(len(u.tokens))]
    device = net.distance.device
    tokens = torch.tensor([w for w, _ in windows], device=device)
    ends = torch.tensor([e for _, e in windows], device=device)
    return net.encode(tokens, torch.full((len(windows),), u.language, device=device), ends), tokens


@torch.inference_mode()
def generate(
    model: CogenerationModel,
    utterances: Sequence[Utterance],
    lengths: Sequence[Sequence[float]] | None = None,
) -> list[FloatArray]:
    """Normalised frames [3, T, C] of each utterance, from its first frame on. Nothing of the motion is read
    but the frame before the first. lengths: of the glosses, in frames; None: the model says.
    """
    net = model.network
    device = net.distance.device
    told = [memory_of(model, u) for u in utterances]
    memories = [memory for memory, _ in told]
    if lengths is None:
        rates = [
            torch.full((len(m),), u.log_rate, device=device)
            for m, u in zip(memories, utterances, strict=True)
        ]
        lengths = [net.timing(m, r)[0].tolist() for m, r in zip(memories, rates, strict=True)]
    plans = [times_of(frames) for frames in lengths]
    longest = max(len(owner) for owner, _ in plans)
    rows = len(utterances)
    owner = np.zeros((rows, longest), np.int64)
    times = np.zeros((rows, longest, 3), np.float32)
    first = 0
    for row, (owned, timed) in enumerate(plans):
        owner[row, : len(owned)], owner[row, len(owned) :] = owned, owned[-1]
        times[row, : len(owned)], times[row, len(owned) :] = timed, timed[-1]
        owner[row] += first
        first += len(memories[row])
    log_rate = torch.tensor([u.log_rate for u in utterances], device=device)
    at = torch.from_numpy(times).to(device)
    progress = progress_features(at[..., 0], at[..., 1], at[..., 2], log_rate[:, None].expand(-1, longest))
    focus = net.focus(torch.cat(memories), torch.cat([tokens for _, tokens in told]))
    state = net.open(rows)
    state.reset(torch.stack([torch.from_numpy(u.frames[:, 0]) for u in utterances], 1).to(device))
    index = torch.from_numpy(owner).to(device)
    made = []
    for t in range(longest):
        state.focus = focus.of(index[:, t])
        made.append(net.step(progress[:, t], state))
    frames = torch.stack(made, 2).cpu().numpy()
    return [frames[:, row, : len(owned)] for row, (owned, _) in enumerate(plans)]


def path_of(frames: FloatArray, used: npt.NDArray[np.bool_]) -> float:
    """How far all channels went, normalised units."""
    return float((np.abs(np.diff(frames, axis=1)) * used[:, None]).sum())


def free_run(model: CogenerationModel, utterances: Sequence[Utterance]) -> dict[str, float]:
    """error: mean absolute error of moving channels in spreads, free-running on the true lengths; duration,
    path: generated over true, on the model's own lengths."""
    used: npt.NDArray[np.bool_] = model.channels.used
    timed = generate(model, utterances, [u.lengths.tolist() for u in utterances])
    errors = [
        float((np.abs(made[:, : len(u)] - u.frames[:, 2:]) * used[:, None]).sum() / used.sum() / len(u))
        for made, u in zip(timed, utterances, strict=True)
    ]
    free = generate(model, utterances)
    truth = sum(path_of(u.frames[:, 1:], used) for u in utterances)
    return {
        "error": float(np.mean(errors)),
        "duration": sum(f.shape[1] for f in free) / sum(map(len, utterances)),
        "path": sum(path_of(f, used) for f in free) / truth,
        "path_timed": sum(path_of(f, used) for f in timed) / truth,
    }
