"""LPIPS (Zhang et al. 2018): how unlike two pictures look to AlexNet, with weights that the user has.

Enters: pictures [N, H, W, 3] uint8, and the file of torchvision's AlexNet (`alexnet-owt-7be5be79.pth`).
Leaves: a mean distance, 0 for equal ones. Does not know renderers. The weights of AlexNet were trained on
ImageNet and are not shipped, nor fetched; those of the five linear heads come with torchmetrics (extra
`metrics`).
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from trainer.metrics.pictures import Pictures, checked

LAYERS = ((0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1))
"""Of `features` in torchvision's AlexNet: number, stride, padding."""
POOLED_BEFORE = (3, 6)
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
BATCH = 16


class Lpips:
    """`Lpips(weights)(ours, theirs)`."""

    def __init__(self, weights: Path) -> None:
        """Raises ValueError where the file is no AlexNet, or torchmetrics is not installed."""
        state = _read(weights)
        names = [f"features.{number}.{part}" for number, _, _ in LAYERS for part in ("weight", "bias")]
        missing = [name for name in names if name not in state]
        if missing:
            raise ValueError(
                f"--lpips {weights}: holds no {missing[0]}; expected the weights of torchvision's AlexNet "
                "(alexnet-owt-7be5be79.pth)"
            )
        self._state = {name: state[name].float() for name in names}
        heads = _read(_heads())
        self._heads = [heads[f"lin{n}.model.1.weight"].float() for n in range(len(LAYERS))]

    def __call__(self, ours: Pictures, theirs: Pictures) -> float:
        """Mean over pictures. Raises ValueError for pictures of different shapes."""
        checked(ours, theirs)
        with torch.inference_mode():
            made, true = (torch.from_numpy(p).permute(0, 3, 1, 2) for p in (ours, theirs))
            pairs = zip(torch.split(made, BATCH), torch.split(true, BATCH), strict=True)
            return float(torch.cat([self.distance(*(p / 127.5 - 1 for p in pair)) for pair in pairs]).mean())

    def distance(self, ours: Tensor, theirs: Tensor) -> Tensor:
        """Of pictures [N, 3, H, W], -1..1: [N]."""
        whole = torch.zeros(len(ours))
        for a, b, head in zip(self._features(ours), self._features(theirs), self._heads, strict=True):
            apart = functional.conv2d((_unit(a) - _unit(b)).square(), head)
            whole = whole + apart.mean((1, 2, 3))
        return whole

    def _features(self, pictures: Tensor) -> list[Tensor]:
        shift, scale = (torch.tensor(v)[None, :, None, None] for v in (SHIFT, SCALE))
        x, found = (pictures - shift) / scale, []
        for number, stride, padding in LAYERS:
            if number in POOLED_BEFORE:
                x = functional.max_pool2d(x, 3, 2)
            weight, bias = (self._state[f"features.{number}.{part}"] for part in ("weight", "bias"))
            x = functional.relu(functional.conv2d(x, weight, bias, stride, padding))
            found.append(x)
        return found


def _unit(features: Tensor) -> Tensor:
    return features / (features.square().sum(1, keepdim=True) + 1e-8).sqrt()


def _read(path: Path) -> Mapping[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever unpickling a file of somebody's raises
        raise ValueError(
            f"--lpips {path}: cannot be read ({type(error).__name__}: {error}); give the file of "
            "torchvision's AlexNet weights, alexnet-owt-7be5be79.pth"
        ) from error
    return state if isinstance(state, Mapping) else {}


def _heads() -> Path:
    found = find_spec("torchmetrics")
    if found is None or found.origin is None:
        raise ValueError(
            "--lpips: the linear heads come with torchmetrics; install the extra: "
            "pip install 'handstream[metrics]'"
        )
    return Path(found.origin).parent / "functional" / "image" / "lpips_models" / "alex.pth"
