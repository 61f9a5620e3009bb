"""Who is to be drawn: the reference picture of a signer, and the maps of the pose it shows.

Enters: an avatar's name, or a picture of a person. Leaves: RGB of the model's size, and maps. Does not know
networks. An avatar is drawn at rest in its own light, as in training. A person is looked for in a picture by
MediaPipe (the `vision` extra) and cut out so that the shoulders lie where the avatar's do; that their hands
are folded low, as the avatar's, is theirs to see to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from engine.body import load_body
from renderer.avatar.config import AvatarConfig
from renderer.avatar.framing import to_pixels
from renderer.base import Bytes
from renderer.diffusion.maps import draw_maps
from renderer.resting import resting_frame, resting_motion

LARGEST_PX = 8192
LEAST_SHOULDERS = 0.05
"""Of the picture's width: whoever is smaller is nobody to copy."""


def reference_maps(size: int) -> Tensor:
    """Maps [1, 3, 3, size, size] of the resting pose."""
    return draw_maps(resting_motion(), size)


def avatar_reference(signer: str, size: int) -> Bytes:
    """The avatar at rest, [size, size, 3]. Opens a GL context on this thread and gives it back.

    Raises ValueError for an unknown signer, RuntimeError where there is no GL.
    """
    from renderer.avatar.renderer import AvatarRenderer

    renderer = AvatarRenderer(AvatarConfig(signer, size, size))
    renderer.open()
    try:
        return np.ascontiguousarray(renderer.rgba(resting_frame())[..., :3])
    finally:
        renderer.close()


def picture_reference(path: Path, size: int) -> Bytes:
    """A person's picture cut out to [size, size, 3].

    Raises ValueError where the file is no picture, shows no person with both shoulders, or nobody can look.
    """
    try:
        with Image.open(path) as opened:
            if max(opened.size) > LARGEST_PX:
                raise ValueError(f"{path}: got {opened.size} pixels, expected at most {LARGEST_PX} a side")
            picture = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))  # phones lie on their side
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: not a readable picture ({error}); give a PNG or a JPEG") from error
    left, right = shoulders(picture, path)
    return cut_out(picture, left, right, size)


def shoulders(picture: Bytes, path: Path) -> tuple[Any, Any]:
    """Pixels of the left and the right shoulder of whoever is in the picture. Raises ValueError."""
    try:
        from mediapipe.python.solutions.pose import Pose
    except ImportError as error:
        raise ValueError(
            f"{path}: nobody can look whether a person is in it ({error}); install the extra with "
            "`pip install 'handstream[vision]'`, or choose an avatar with --signer"
        ) from error
    with Pose(static_image_mode=True, model_complexity=1, min_detection_confidence=0.5) as eye:
        found = eye.process(np.ascontiguousarray(picture)).pose_landmarks
    height, width = picture.shape[:2]
    if found is not None:
        left, right = (found.landmark[n] for n in (11, 12))
        points = [np.array([p.x * width, p.y * height]) for p in (left, right)]
        wide = float(np.linalg.norm(points[0] - points[1]))
        if min(left.visibility, right.visibility) > 0.5 and wide > LEAST_SHOULDERS * width:
            return points[0], points[1]
    raise ValueError(
        f"{path}: no person with both shoulders is seen in it; give a picture of one person from the front, "
        "from head to waist, or choose an avatar with --signer"
    )


def cut_out(picture: Bytes, left: Any, right: Any, size: int) -> Bytes:
    """The square of the picture in which the shoulders lie where the avatar's are; its edge is continued."""
    body = load_body()
    _, joints = body.fk(resting_motion().smplx[0])
    ours = to_pixels(joints[[16, 17]], size, size)
    scale = float(np.linalg.norm(np.subtract(left, right)) / np.linalg.norm(ours[0] - ours[1]))
    corner = (np.asarray(left) + right) / 2 - ours.mean(0) * scale
    grid = (np.arange(size) + 0.5) * scale
    wide = np.stack(np.meshgrid(grid + corner[0], grid + corner[1]), -1)
    height, width = picture.shape[:2]
    places = torch.from_numpy((wide / [width, height] * 2 - 1).astype(np.float32))
    pixels = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float()
    if scale > 1:  # first blur what will fall between pixels
        step = max(1, int(scale))
        pixels = torch.nn.functional.avg_pool2d(pixels, step, ceil_mode=True) if step > 1 else pixels
    out = torch.nn.functional.grid_sample(
        pixels, places[None], mode="bilinear", padding_mode="border", align_corners=False
    )
    return out[0].permute(1, 2, 0).round().clamp(0, 255).byte().numpy()
