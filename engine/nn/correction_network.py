"""The corrector as a network: a clip whose modalities disagree in, one that agrees out.

Enters: vectors of `engine.features`. Leaves: the same, corrected. Does not know streams (`engine.corrector`).

What moves is decided in two parts. *Where to*: each modality may go towards what the others say of it. Arms
of the body turn to where keypoints and MANO hands are (`correction_arms`), fingers of body and hands go
towards each other, keypoints go towards where the body has them: a wrist takes its hand along, and within the
hand a point goes towards where body and MANO hand, in the middle, have it. *Who goes how far*: gates between
0 and 1, half at first, that a network of cross-attention learns from what the modalities say over a window of
frames. If two gates of a pair add up to 1 these two agree, whichever is trusted. Beside it the network may
change channels freely, as far as there is disagreement at all. SignAligner (arXiv 2506.11621), equations 7-9,
is the attention (`engine.nn.correction`), and all there is without `geometry`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine.features import MODALITIES, SLICES, WIDTH, WIDTHS, Normaliser
from engine.nn.correction import HASTE, LITTLE, STREAMS, CorrectionLayer, Linear3, Norm3
from engine.nn.correction_arms import STEPS, TURNED
from engine.nn.correction_geometry import DISAGREEMENTS, Geometry, folded

FINGERS = slice(312 + 25 * 6, 312 + 55 * 6)
"""The body's fingers: what the hands modality knows as well."""
GATES = (60, 32, 34)
"""How many: of keypoints; of hand rotations; of the body's arms (2), wrists (2) and fingers (30)."""


@dataclass(frozen=True)
class CorrectorConfig:
    """Sizes. A frame sees `past_frames` before it and, over all layers, `look_ahead_frames` after it.

    look_ahead_frames: how late a corrected frame comes; shared out among the layers, the first ones first.
    geometry: let the streams see where the modalities disagree after forward kinematics, beside each other's
    states (off: the paper's form, which must learn the skeleton by heart). rewind_frames: how far a stream
    may go back.
    """

    width: int = 96
    heads: int = 4
    layers: int = 2
    inner: int = 192
    past_frames: int = 12
    look_ahead_frames: int = 4
    geometry: bool = True
    dropout: float = 0.0
    rewind_frames: int = 16

    def __post_init__(self) -> None:
        for name in ("width", "heads", "layers", "inner"):
            if getattr(self, name) < 1:
                raise ValueError(f"CorrectorConfig.{name}: got {getattr(self, name)}, expected at least 1")
        if self.width % self.heads:
            raise ValueError(
                f"CorrectorConfig: got width={self.width}, heads={self.heads}; expected heads to divide width"
            )
        if self.past_frames < 0 or self.rewind_frames < 0 or not 0 <= self.look_ahead_frames <= 64:
            raise ValueError(
                f"CorrectorConfig: got past_frames={self.past_frames}, "
                f"look_ahead_frames={self.look_ahead_frames}, rewind_frames={self.rewind_frames}; expected "
                "none negative, and at most 64 frames of look-ahead"
            )

    @property
    def ahead(self) -> tuple[int, ...]:
        """Look-ahead of each layer."""
        each, rest = divmod(self.look_ahead_frames, self.layers)
        return tuple(each + (layer < rest) for layer in range(self.layers))

    @property
    def capacity(self) -> int:
        """Frames in a ring: less, and a rewound step would read what was overwritten."""
        return self.past_frames + self.look_ahead_frames + 1 + self.rewind_frames


class CorrectorNetwork(nn.Module):
    """Weights, the normaliser of the motion they were trained on, and a body's bones."""

    scale: Tensor
    spread: Tensor

    def __init__(self, config: CorrectorConfig, normaliser: Normaliser) -> None:
        super().__init__()
        self.config, self.normaliser = config, normaliser
        width = config.width
        self.embed = nn.ModuleList(nn.Linear(WIDTHS[name], width) for name in MODALITIES)
        self.layers = nn.ModuleList(
            CorrectionLayer(width, config.heads, config.inner, config.past_frames, ahead, config.dropout)
            for ahead in config.ahead
        )
        self.norm = Norm3(width)
        self.change = nn.ModuleList(nn.Linear(width, WIDTHS[name]) for name in MODALITIES)
        gates = []
        if config.geometry:
            self.see = Linear3(DISAGREEMENTS, width)
            self.much = nn.Parameter(torch.zeros(STREAMS, width))
            self.gates = nn.ModuleList(nn.Linear(width, count) for count in GATES)
            gates = list(self.gates)
        for layer in (*self.change, *gates):  # nothing is changed freely at first, and gates are half open
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.geometry = Geometry()
        sizes, weights = (120, 192, 80, STEPS), (10.0, 5.0, 10.0, 5.0)
        scale = torch.cat([torch.full((n,), w) for n, w in zip(sizes, weights, strict=True)])
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("spread", torch.from_numpy(normaliser.spread), persistent=False)

    def enter(self, vectors: Tensor, apart: Tensor | None) -> Tensor:
        """Vectors [..., 694] and disagreements [..., 440] -> states [3, ..., D]."""
        normal = self.normaliser.apply(vectors)
        parts = [layer(normal[..., SLICES[name]]) for layer, name in zip(self.embed, MODALITIES, strict=True)]
        states = torch.stack(parts)
        if apart is not None:
            # Which way and how much, apart: so that a little is answered as much is, only less.
            seen = apart * self.scale
            size = seen.square().mean(-1, keepdim=True).sqrt()
            seen = seen / (size + LITTLE)
            states = states + self.see(seen.expand(STREAMS, *seen.shape))
            much = self.much.view(STREAMS, *(1,) * (seen.ndim - 1), -1)
            states = states + (size / LITTLE).log1p() * much
        return states

    def leave(self, states: Tensor, vectors: Tensor, apart: Tensor | None) -> Tensor:
        """Last states [3, ..., D] and what was put in -> corrected vectors."""
        states = self.norm(states)
        change = torch.cat([layer(x) for layer, x in zip(self.change, states, strict=True)], -1)
        change = change * self.spread
        if apart is None:
            return vectors + change
        # What agrees is left alone: without this, what a network of this size invents is more than a good
        # generator's modalities are apart.
        size = (apart * self.scale).square().mean(-1, keepdim=True).sqrt()
        pose, hands, body = ((HASTE * gate(x)).sigmoid() for gate, x in zip(self.gates, states, strict=True))
        return vectors + change * size.tanh() + self._nearer(pose, hands, body, apart)

    @staticmethod
    def _nearer(pose: Tensor, hands: Tensor, body: Tensor, apart: Tensor) -> Tensor:
        """Gates and disagreements -> how far every channel goes towards what the others say, [..., 694]."""
        flat = folded(apart[..., :120], 60, 2)
        points = folded(flat[..., 18:, :].flatten(-2), 2, 21, 2)
        shown = folded(apart[..., 312:392], 2, 20, 2)
        shape = (points[..., 1:, :] - points[..., :1, :] + shown) / 2
        place = points[..., :1, :] * folded(pose[..., 18:], 2, 21)[..., :1, None]
        shape = place + shape * folded(pose[..., 18:], 2, 21)[..., 1:, None]
        drawn = torch.cat([place, shape], -2).flatten(-3)
        told = folded(apart[..., 120:312], 32, 6)
        fingers = folded(apart[..., 120:312], 2, 16, 6)[..., 1:, :].flatten(-3, -2)
        steps = folded(apart[..., 392:], 8, 6)
        arms = steps[..., :6, :] * body[..., :2].repeat(*(1,) * (body.ndim - 1), 3)[..., None]
        wrists = arms[..., 4:, :] + steps[..., 6:, :] * body[..., 2:4, None]
        none = apart.new_zeros((*apart.shape[:-1], 1))
        return torch.cat(
            [
                (flat[..., :18, :] * pose[..., :18, None]).flatten(-2),
                drawn,
                (told * hands[..., None]).flatten(-2),
                none.expand(*none.shape[:-1], TURNED.start - 312),
                arms[..., :4, :].flatten(-2),
                wrists.flatten(-2),
                none.expand(*none.shape[:-1], FINGERS.start - TURNED.stop),
                -(fingers * body[..., 4:, None]).flatten(-2),  # the disagreement is body less hands
                none.expand(*none.shape[:-1], WIDTH - FINGERS.stop),
            ],
            -1,
        )

    def forward(self, vectors: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Offline: vectors [B, T, 694] -> corrected ones; lengths [B]: frames that count (None: all).

        Raises ValueError for other shapes.
        """
        if vectors.ndim != 3 or vectors.shape[-1] != WIDTH:
            raise ValueError(f"corrector: got shape {tuple(vectors.shape)}, expected [B, T, {WIDTH}]")
        apart = None
        if self.config.geometry:
            with torch.no_grad():
                apart = self.geometry.disagreements(vectors)
        states = self.enter(vectors, apart)
        for layer in self.layers:
            states = layer(states, lengths)
        return self.leave(states, vectors, apart)
