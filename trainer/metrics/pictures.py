"""SSIM, PSNR and the Fréchet distance of pictures.

Enters: pictures [N, H, W, 3] uint8. Leaves: figures. Does not know renderers.

SSIM and PSNR are scikit-image's (extra `metrics`). The Fréchet distance (Heusel et al. 2017) needs features:
published figures take those of Inception-v3, whose weights are not shipped here. `fid` takes any function
from pictures to features, say an Inception network of yours; `random_features`, the default, is a small
convolution network with fixed random weights: it ranks models on the same data, and its figures compare with
no published ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Pictures = npt.NDArray[np.uint8]
Features = npt.NDArray[np.float64]
RANDOM = "random convolutions, seed 0, 64 features"


def checked(ours: Pictures, theirs: Pictures) -> None:
    if ours.shape != theirs.shape or ours.ndim != 4 or not len(ours) or ours.dtype != theirs.dtype:
        raise ValueError(
            f"pictures: got {ours.dtype} {ours.shape} and {theirs.dtype} {theirs.shape}; expected two uint8 "
            "[N, H, W, 3] of one size"
        )


def ssim(ours: Pictures, theirs: Pictures) -> float:
    """Structural similarity (Wang et al. 2004: Gaussian window, sigma 1.5), mean over pictures and
    channels.
    """
    checked(ours, theirs)
    measure = _skimage().structural_similarity
    options = {"channel_axis": -1, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(
        np.mean([measure(a, b, data_range=255, **options) for a, b in zip(ours, theirs, strict=True)])
    )


def psnr(ours: Pictures, theirs: Pictures) -> float:
    """Peak signal-to-noise ratio in dB, mean over pictures; infinite for equal ones."""
    checked(ours, theirs)
    with np.errstate(divide="ignore"):
        measure = _skimage().peak_signal_noise_ratio
        return float(np.mean([measure(a, b, data_range=255) for a, b in zip(ours, theirs, strict=True)]))


def _skimage() -> Any:
    try:
        import skimage.metrics
    except ImportError as error:
        raise ValueError(
            f"SSIM and PSNR need scikit-image ({error}); install the extra: pip install 'handstream[metrics]'"
        ) from error
    return skimage.metrics


def frechet(ours: Features, theirs: Features) -> float:
    """Fréchet distance of two clouds of features [N, D], each taken as a Gaussian."""
    if ours.ndim != 2 or ours.shape[1:] != theirs.shape[1:] or min(len(ours), len(theirs)) < 2:
        raise ValueError(
            f"frechet: got features {ours.shape} and {theirs.shape}; expected [N, D] of one D, at least two "
            "of each"
        )
    left, right = (np.cov(f, rowvar=False).reshape(f.shape[1], -1) for f in (ours, theirs))
    # trace of the root of left @ right, by the symmetric root of left: real whatever the rank
    values, vectors = np.linalg.eigh(left)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    middle = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ right @ root), 0)).sum()
    apart = ours.mean(0) - theirs.mean(0)
    return float(apart @ apart + np.trace(left) + np.trace(right) - 2 * middle)


def random_features(pictures: Pictures) -> Features:
    """[N, 64]: four random convolutions of stride 2, the mean over the picture. The same on every machine to
    rounding.
    """
    import torch
    from torch.nn import functional

    generator = torch.Generator().manual_seed(0)
    x = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        for width in (16, 32, 64, 64):
            weight = torch.randn(width, x.shape[1], 3, 3, generator=generator) * (2 / (9 * x.shape[1])) ** 0.5
            x = functional.relu(functional.conv2d(x, weight, stride=2, padding=1))
        return x.mean((2, 3)).numpy().astype(np.float64)


def fid(
    ours: Pictures, theirs: Pictures, features: Callable[[Pictures], Features] = random_features
) -> float:
    """Fréchet distance between the features of two sets of pictures. Say which features with the figure."""
    return frechet(features(ours), features(theirs))
