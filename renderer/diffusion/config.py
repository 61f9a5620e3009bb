"""What can be asked of the video renderer: how large its network is, and how it is served.

Enters: plain values. Leaves: `DenoiserConfig`, `VideoConfig`, checked. Does not know torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

STYLES: Final = ("natural", "ink", "flat")
"""Ways a picture can look; a model may know fewer. See `trainer.renderer.styles` for what each means."""
BACKENDS: Final = ("auto", "eager", "compile", "graphs", "tensorrt")
MODES: Final = ("direct", "stream")
PRECISIONS: Final = ("auto", "float32", "bfloat16", "float16")
MOST_STEPS: Final = 64
SHIPPED: Final = Path(__file__).parent / "models" / "small"
"""The model that comes with Handstream; its card is beside it."""


@dataclass(frozen=True, slots=True)
class DenoiserConfig:
    """The network. size: picture side in pixels. patch: pixels a side that become one place of the network.
    fineness: how many times finer than pictures its maps are drawn, a side.

    widths: channels of each U-Net level, each half the size of the one before. blocks: residual blocks a
    level. stem: channels of the three stacked grouped convolutions, a modality each. gate: width of the
    gate's hidden layer. heads: of the attention on the lowest level. edges: of the layers at full resolution.
    styles: what the style token may say.
    """

    size: int = 64
    patch: int = 2
    widths: tuple[int, ...] = (24, 48, 72)
    blocks: int = 1
    stem: tuple[int, ...] = (8, 16, 24)
    gate: int = 16
    heads: int = 4
    edges: tuple[int, ...] = (16,)
    fineness: int = 1
    styles: tuple[str, ...] = STYLES

    def __post_init__(self) -> None:
        for name in ("widths", "stem", "edges", "styles"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # JSON knows lists only
        if self.patch not in (1, 2, 4, 8):
            raise ValueError(f"DenoiserConfig.patch: got {self.patch}, expected 1, 2, 4 or 8")
        if self.fineness not in (1, 2) or self.patch * self.fineness > 8:
            raise ValueError(
                f"DenoiserConfig.fineness: got {self.fineness} with patches of {self.patch}, expected 1, "
                "or 2 with patches of at most 4 pixels"
            )
        coarsest = self.patch * 2 ** (len(self.widths) - 1) if self.widths else 1
        if not 16 <= self.size <= 1024 or self.size % coarsest:
            raise ValueError(
                f"DenoiserConfig.size: got {self.size}, expected 16 to 1024 pixels and a multiple of "
                f"{coarsest} (patch {self.patch}, {len(self.widths)} levels)"
            )
        if not self.widths or any(w < 8 or w % 8 for w in self.widths):
            raise ValueError(f"DenoiserConfig.widths: got {self.widths}, expected multiples of 8")
        if len(self.stem) != 3 or min(self.stem) < 1 or self.gate < 1:
            raise ValueError(f"DenoiserConfig.stem: got {self.stem}, expected three widths of at least 1")
        if not self.edges or min(self.edges) < 1:
            raise ValueError(
                f"DenoiserConfig.edges: got {self.edges}, expected at least one width of at least 1"
            )
        if self.blocks < 1 or self.heads < 1 or self.widths[-1] % self.heads:
            raise ValueError(
                f"DenoiserConfig: got blocks={self.blocks}, heads={self.heads}; expected at least 1, and "
                f"heads that divide the last width {self.widths[-1]}"
            )
        if not self.styles or len(set(self.styles)) != len(self.styles):
            raise ValueError(
                f"DenoiserConfig.styles: got {self.styles}, expected different names, at least one"
            )

    @property
    def map_size(self) -> int:
        """Pixels a side of the maps that the network is shown."""
        return self.size * self.fineness


SIZES: Final[Mapping[str, DenoiserConfig]] = MappingProxyType(
    {
        "tiny": DenoiserConfig(),
        "small": DenoiserConfig(96, 4, (48, 80, 96), 1, (16, 24, 32), 16, 4, (32, 32), 2),
        "base": DenoiserConfig(256, 4, (96, 192, 288, 384), 2, (16, 32, 96), 96, 8, (32, 32)),
        "large": DenoiserConfig(512, 8, (160, 320, 480, 640), 2, (16, 32, 256), 128, 10, (32, 32)),
    }
)
"""tiny runs on a CPU (tests); small trains on one in an evening, and is the least at which hands are read;
base and large want a GPU. large has the paper's gate: 768 stem channels."""


@dataclass(frozen=True, slots=True)
class VideoConfig:
    """How a model draws. model: its folder. signer: an avatar's name, whose picture is the reference.

    reference: a picture of a person instead. width, height: of the pictures that leave, even and square.
    style: one that the model knows. steps: denoising steps, 0 for what the model was made for. mode: `direct`
    finishes each picture before the next; `stream` advances every picture in flight by one step a call, so
    pictures come steps - 1 frames later at the price of one batched step each. backend: BACKENDS. device:
    `auto`, `cpu`, `cuda` or `cuda:N`. precision: of PRECISIONS, on a CUDA device; a CPU has float32.
    """

    model: Path
    signer: str = "mira"
    reference: Path | None = None
    width: int = 512
    height: int = 512
    style: str = STYLES[0]
    steps: int = 0
    mode: str = "direct"
    backend: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.width != self.height or self.width % 2 or not 16 <= self.width <= 1920:
            raise ValueError(
                f"VideoConfig: got {self.width}x{self.height}, expected a square of even pixels up to 1080; "
                "the avatar draws other shapes: --renderer avatar"
            )
        if not 0 <= self.steps <= MOST_STEPS:
            raise ValueError(f"VideoConfig.steps: got {self.steps}, expected 0 (the model's) to {MOST_STEPS}")
        if self.mode not in MODES:
            raise ValueError(f"VideoConfig.mode: got {self.mode!r}, expected one of {', '.join(MODES)}")
        if self.backend not in BACKENDS:
            raise ValueError(
                f"VideoConfig.backend: got {self.backend!r}, expected one of {', '.join(BACKENDS)}"
            )
        if self.precision not in PRECISIONS:
            raise ValueError(
                f"VideoConfig.precision: got {self.precision!r}, expected one of {', '.join(PRECISIONS)}"
            )
        if not (self.device in ("auto", "cpu", "cuda") or self.device.startswith("cuda:")):
            raise ValueError(f"VideoConfig.device: got {self.device!r}, expected auto, cpu, cuda or cuda:N")
