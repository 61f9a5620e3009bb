"""Print the letters' figures and draw them beside their recordings, for people to judge.

python -m tests.legibility [language] [--out letters.png] [--signer NAME] [--no-contacts] [--pixels N]
    [--renderer-model FOLDER]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from engine.signals import MotionFrame
from renderer.avatar import SIGNERS, AvatarConfig, AvatarRenderer
from renderer.base import Bytes, Renderer
from tests.legibility.protocol import SIZE, Draw, read_letters, summary
from tests.legibility.sheet import contact_sheet, verdict


def drawing(signer: str, pixels: int, model: Path | None) -> tuple[Renderer, Draw]:
    """Who draws, and how: always pictures of `SIZE`, from a model's own size or from so many pixels."""
    if model is not None:
        from renderer.diffusion.config import VideoConfig
        from renderer.diffusion.renderer import VideoRenderer

        video = VideoRenderer(VideoConfig(model, signer, None, SIZE, SIZE))
        return video, video.rgba
    avatar = AvatarRenderer(AvatarConfig(signer=signer, width=pixels, height=pixels))
    if pixels == SIZE:
        return avatar, avatar.rgba
    from renderer.diffusion.enlarging import Enlarger

    enlarger = Enlarger(pixels, SIZE)

    def draw(frame: MotionFrame) -> Bytes:
        large = enlarger.rgb(np.ascontiguousarray(avatar.rgba(frame)[..., :3]))
        return np.concatenate([large, np.full((SIZE, SIZE, 1), 255, np.uint8)], -1)

    return avatar, draw


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("language", nargs="?", default="ase")
    parser.add_argument("--out", default="letters.png")
    parser.add_argument("--signer", default=next(iter(SIGNERS)))
    parser.add_argument("--no-contacts", action="store_true")
    parser.add_argument("--pixels", type=int, default=SIZE, help="drawn so small, then enlarged")
    parser.add_argument("--renderer-model", type=Path, help="drawn by this model of the video renderer")
    arguments = parser.parse_args()
    renderer, draw = drawing(arguments.signer, arguments.pixels, arguments.renderer_model)
    renderer.open()
    try:
        readings = read_letters(draw, arguments.language, contacts=not arguments.no_contacts)
    finally:
        renderer.close()
    for r in readings:
        print(f"{r.letter:>4}  {verdict(r)}{'' if r.named == r.letter else '   <--'}")
    contact_sheet(readings).save(arguments.out)
    print(f"wrote {arguments.out}")
    print(json.dumps({"benchmark": "legibility", "language": arguments.language, **summary(readings)}))


if __name__ == "__main__":
    main()
