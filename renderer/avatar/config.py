"""What can be asked of the avatar: who signs, how large, on which background.

Enters: plain values. Leaves: `AvatarConfig`, checked. Does not know GL.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

ASSETS: Final = Path(__file__).parent / "assets"
BACKGROUNDS: Final = ("plain", "green", "transparent")
LARGEST_PX: Final = 1920
MOST_PIXELS: Final = 1920 * 1080
SMALLEST_PX: Final = 16


@dataclass(frozen=True, slots=True)
class SignerInfo:
    """A signer that can be chosen: its name in settings and URLs, and a line that describes it."""

    name: str
    description: str


def _signers() -> Mapping[str, SignerInfo]:
    table = json.loads((ASSETS / "signers.json").read_text("utf-8"))
    return MappingProxyType({name: SignerInfo(name, text) for name, text in table.items()})


SIGNERS: Final = _signers()
"""The signers by name; the first is the default."""


@dataclass(frozen=True, slots=True)
class AvatarConfig:
    """signer: one of SIGNERS. width, height: even pixels, up to 1080p either way up. background: BACKGROUNDS.
    supersample: drawn pixels per picture pixel along each side, 1..2 (0: chosen by size). colour: sRGB of the
    plain background's middle. Raises ValueError naming what may be asked."""

    signer: str = "mira"
    width: int = 512
    height: int = 512
    background: str = "plain"
    supersample: float = 0.0
    colour: tuple[int, int, int] = (214, 222, 230)

    def __post_init__(self) -> None:
        if self.signer not in SIGNERS:
            raise ValueError(
                f"AvatarConfig.signer: no signer {self.signer!r}; choose one of {', '.join(SIGNERS)}"
            )
        if self.background not in BACKGROUNDS:
            raise ValueError(
                f"AvatarConfig.background: got {self.background!r}, expected one of {', '.join(BACKGROUNDS)}"
            )
        for name, pixels in (("width", self.width), ("height", self.height)):
            if pixels % 2 or not SMALLEST_PX <= pixels <= LARGEST_PX:
                raise ValueError(
                    f"AvatarConfig.{name}: got {pixels}, expected even pixels from {SMALLEST_PX} "
                    f"to {LARGEST_PX} (video halves its colour planes); try {_nearest(pixels)}"
                )
        if self.width * self.height > MOST_PIXELS:
            raise ValueError(
                f"AvatarConfig: got {self.width}x{self.height}, expected at most 1920x1080 pixels in all "
                "(either way up); scale both sides down"
            )
        if self.supersample and not 1 <= self.supersample <= 2:
            raise ValueError(
                f"AvatarConfig.supersample: got {self.supersample}, expected 1..2, or 0 for automatic"
            )
        if len(self.colour) != 3 or not all(0 <= c <= 255 for c in self.colour):
            raise ValueError(f"AvatarConfig.colour: got {self.colour}, expected three numbers 0..255")

    @property
    def drawn_size(self) -> tuple[int, int]:
        """Pixels drawn before shrinking: a quarter more per side, up to 960x960 where time ends."""
        factor = self.supersample or (1.25 if self.width * self.height <= 960 * 960 else 1.0)
        return (round(self.width * factor / 2) * 2, round(self.height * factor / 2) * 2)


def _nearest(pixels: int) -> int:
    return min(max(pixels - pixels % 2, SMALLEST_PX), LARGEST_PX)
