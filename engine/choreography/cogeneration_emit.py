"""What a generated frame becomes before it is shown, with its three modalities kept together.

Enters: the pose of a generated frame, and the SMPL-X pose that is to be shown instead (with idle life laid
over, or in the middle of a transition). Leaves: a `MotionFrame` whose other modalities have moved along.
Does not know who changed what.

The modalities are generated apart and may differ a little; what is laid over them moves all three by the same
amount, so that they agree afterwards as well as they did before.
"""

from __future__ import annotations

import numpy as np

from engine.body import Body
from engine.rotations import matrix_from_rotvec, rotvec_from_matrix
from engine.signals import FloatArray, MotionFrame
from engine.skeleton import HAND, SIDES, WRIST

_WRISTS = [WRIST[side] for side in SIDES]
_SAME = 1e-6


def carry(
    body: Body,
    pose: FloatArray,
    hands: FloatArray,
    smplx: FloatArray,
    shown: FloatArray,
    expression: FloatArray,
    *,
    seq: int,
    pts_ns: int,
    gloss: int,
) -> MotionFrame:
    """The frame that shows SMPL-X pose `shown` [55, 3] where `smplx` [55, 3] was generated with pose [60, 2]
    and hands [2, 16, 3]; expression [52].
    """
    rotation, position = body.fk(np.stack([smplx, shown]))
    flat = body.pose(rotation, position)
    moved = hands.copy()
    turned = rotation[1, _WRISTS] @ np.swapaxes(rotation[0, _WRISTS], -1, -2)
    moved[:, 0] = rotvec_from_matrix(turned @ matrix_from_rotvec(hands[:, 0]))
    for side, name in enumerate(SIDES):
        before, after = smplx[HAND[name]], shown[HAND[name]]
        if np.abs(before - after).max() > _SAME:
            inverse = np.swapaxes(matrix_from_rotvec(before), -1, -2)
            bent = matrix_from_rotvec(after) @ inverse @ matrix_from_rotvec(hands[side, 1:])
            moved[side, 1:] = rotvec_from_matrix(bent)
    return MotionFrame(
        seq=seq,
        pts_ns=pts_ns,
        pose=np.ascontiguousarray(pose + flat[1] - flat[0], dtype=np.float32),
        hands=np.ascontiguousarray(moved, dtype=np.float32),
        smplx=np.ascontiguousarray(shown, dtype=np.float32),
        expression=np.ascontiguousarray(expression, dtype=np.float32),
        gloss=gloss,
    )
