"""Measures how a face detector sees our avatar's face units: the basis of `engine.retarget.face`.

    python -m trainer.face_basis          # needs the vision extra; about a minute

Enters: the avatar, drawn. Leaves `engine/assets/face.npz`: neutral [468, 3] and response [52, 468, 3] to each
unit at 1, in widths between the outer eye corners, x to the signer's left, y up, z to the camera; the head's
own turning removed. Mean over the avatar's signers, so that no one's features weigh more.
"""

from __future__ import annotations

import sys

import numpy as np
import numpy.typing as npt

from engine.body import load_body
from engine.retarget.face import ASSET, STEADY
from engine.retarget.geometry import kabsch, unturn
from engine.skeleton import FACE_UNITS
from renderer.avatar import SIGNERS, AvatarConfig, AvatarRenderer

Array = npt.NDArray[np.float64]
SIZE = 1080
_CORNERS = (33, 263)


def main() -> None:
    try:
        from mediapipe.python.solutions.face_mesh import FaceMesh
    except ImportError:
        sys.exit(
            "face_basis: MediaPipe is missing; install the vision extra: pip install 'handstream[vision]'"
        )
    neutral, response, lost = [], [], 0
    with FaceMesh(static_image_mode=True, refine_landmarks=False, min_detection_confidence=0.3) as mesh:
        for signer in SIGNERS:
            renderer = AvatarRenderer(AvatarConfig(signer=signer, width=SIZE, height=SIZE))
            renderer.open()
            try:
                rest = _look(renderer, mesh, np.zeros(len(FACE_UNITS), np.float32))
                if rest is None:
                    sys.exit(
                        f"face_basis: no face found on {signer} at rest; is the head inside the picture?"
                    )
                moved = np.zeros((len(FACE_UNITS), len(rest), 3))
                for i in range(len(FACE_UNITS)):
                    seen = _look(renderer, mesh, np.eye(len(FACE_UNITS), dtype=np.float32)[i])
                    lost += seen is None
                    moved[i] = 0.0 if seen is None else _level(seen, rest)
            finally:
                renderer.close()
            width = float(np.linalg.norm((rest[_CORNERS[1]] - rest[_CORNERS[0]])[:2]))
            neutral.append((rest - rest[list(_CORNERS)].mean(0)) / width)
            response.append(moved / width)
            print(f"{signer}: eye corners {width * SIZE:.0f} px apart")
    np.savez_compressed(
        ASSET,
        neutral=np.mean(neutral, 0).astype(np.float32),
        response=np.mean(response, 0).astype(np.float16),
    )
    print(f"wrote {ASSET} ({ASSET.stat().st_size >> 10} KiB); {lost} faces not found")


def _look(renderer: AvatarRenderer, mesh: object, units: npt.NDArray[np.float32]) -> Array | None:
    """[468, 3] in picture sizes, body axes; the picture's upper middle, where the head is, enlarged."""
    import cv2

    motion = load_body().frame(np.zeros((55, 3), np.float32), units, seq=0, pts_ns=0, gloss=-1)
    picture = renderer.rgba(motion)[: SIZE // 2, SIZE // 4 : 3 * SIZE // 4, :3]
    large = cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    found = mesh.process(large).multi_face_landmarks  # type: ignore[attr-defined]
    if not found:
        return None
    return np.array([[p.x, -p.y, -p.z] for p in found[0].landmark[:468]]) / 2


def _level(seen: Array, rest: Array) -> Array:
    """How a face differs from rest once the head's turn and place are removed."""
    steady = list(STEADY)
    turn = kabsch(rest[steady], seen[None][:, steady], np.ones(len(steady)))
    level = unturn(turn[:, None], seen[None] - seen[steady].mean(0))[0]
    return np.asarray(level - (rest - rest[steady].mean(0)))


if __name__ == "__main__":
    main()
