"""Motion and picture metrics against independent implementations and hand-worked cases."""

from __future__ import annotations

import fastdtw
import numpy as np
import pytest
import torch
import torchmetrics.functional.image as second_opinion
from torchmetrics.image.fid import FrechetInceptionDistance

from engine.signals import Motion
from engine.skeleton import POSE_HAND
from trainer.metrics import motion as m
from trainer.metrics.pictures import fid, frechet, psnr, random_features, ssim
from trainer.metrics.streams import drift, longest_freeze_s, trend
from trainer.metrics.warping import warp


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(("first", "second"), [(1, 1), (1, 6), (7, 1), (9, 14), (15, 8)])
def test_warping_is_exact(first: int, second: int) -> None:
    a, b = noise(first, 3), noise(second, 3, seed=1)
    costs = np.linalg.norm(a[:, None] - b[None], axis=-1)
    total, pairs = warp(np.stack([costs, 2 * costs]))
    wanted, path = fastdtw.dtw(a, b, dist=lambda x, y: float(np.linalg.norm(x - y)))
    np.testing.assert_allclose(total, [wanted, 2 * wanted], rtol=1e-6)
    assert pairs.tolist() == [len(path)] * 2


def test_dtw_mje_and_ndtwp_against_fastdtw() -> None:
    a, b = noise(11, 60, 3), noise(13, 60, 3, seed=1)

    def mean_joint_error(x: np.ndarray, y: np.ndarray) -> float:
        return float(np.linalg.norm((x - y).reshape(60, 3), axis=-1).mean())

    total, path = fastdtw.dtw(a.reshape(11, -1), b.reshape(13, -1), dist=mean_joint_error)
    assert m.dtw_mje(a, b) == pytest.approx(total / len(path), rel=1e-5)
    each = [fastdtw.dtw(a[:, j], b[:, j], dist=2)[0] for j in range(18, 60)]
    assert m.ndtwp(a, b) == pytest.approx(float(np.mean(each)), rel=1e-5)
    with pytest.raises(ValueError, match="expected the same"):
        m.dtw_mje(a, b[..., :2])


def test_a_clip_slowed_down_is_as_near_as_can_be() -> None:
    a = noise(9, 60, 3)
    slow = np.repeat(a, 3, axis=0)
    assert m.dtw_mje(a, slow) == pytest.approx(0, abs=1e-9)
    assert m.ndtwp(a, slow) == pytest.approx(0, abs=1e-9)
    assert m.dtw_mje(a, a + np.float32(0.5)) <= np.sqrt(0.75) + 1e-6  # at most as far as without warping


def swing(frames: int, away: float = 1.0) -> np.ndarray:
    """Both hands go out along x by `away` and come back, everything else stays."""
    clip = np.zeros((frames, 60, 3), np.float32)
    clip[:, m.HANDS, 0] = (
        away * np.interp(np.arange(frames), [3, frames // 2, frames - 4], [0, 1, 0])[:, None]
    )
    return clip


def test_path_length_and_duration_by_hand() -> None:
    true = [swing(30), swing(40)]
    assert m.path_length(swing(30)) == pytest.approx(2.0, rel=1e-5)
    assert m.path_length_ratio([swing(30, 0.5), swing(40, 0.5)], true) == pytest.approx(0.5, rel=1e-5)
    ramp = np.zeros((20, 60, 3), np.float32)
    ramp[5:15, POSE_HAND["right"]] = 1.0
    assert m.signing(ramp) == (5, 15)
    longer = np.concatenate([ramp[:5], np.repeat(ramp[5:15], 2, axis=0), ramp[15:]])
    assert m.duration_ratio([longer, ramp], [ramp, ramp]) == pytest.approx(1.5)
    assert m.signing(np.zeros((4, 60, 3), np.float32)) == (0, 0)
    with pytest.raises(ValueError, match="expected more than 0"):
        m.path_length_ratio(true, [np.zeros((9, 60, 3), np.float32)] * 2)


def test_own_target_is_nearer_than_others_and_a_mean_is_not() -> None:
    true = [noise(12, 60, 3, seed=i) for i in range(6)]
    assert m.own_against_random([t + 0.01 for t in true], true) < 0.1
    mean = np.mean(true, axis=0)
    assert m.own_against_random([mean] * 6, true) == pytest.approx(1.0, abs=0.15)


def test_seam_jerk_by_hand() -> None:
    frames, fps = 24, 25.0
    clip = np.zeros((frames, 60, 3), np.float32)
    clip[:, m.SEAM_POINTS, 1] = 0.001 * (np.arange(frames, dtype=np.float32)[:, None]) ** 3
    np.testing.assert_allclose(m.jerk(clip, fps), 0.006 * fps**3, rtol=1e-2)  # third difference of x^3 is 6
    clip[12:, m.SEAM_POINTS, 1] = clip[11, m.SEAM_POINTS, 1]  # smooth but for a stop in frame 12
    away = m.seam_jerk(clip, fps, [[0, 17], [20, 23]])
    near = m.seam_jerk(clip, fps, [[0, 11], [14, 23]])
    assert near > 0.006 * fps**3 > away
    with pytest.raises(ValueError, match="at least two"):
        m.seam_jerk(clip, fps, [[0, 5]])


def test_points_are_where_the_2d_modality_says() -> None:
    from engine.body import load_body

    clip: Motion = load_body().motion(0.3 * noise(5, 55, 3), np.zeros((5, 52), np.float32), 25.0)
    seen = m.points(clip)
    np.testing.assert_allclose(seen[..., :2] * [1, -1], m.plane(clip), atol=1e-4)


def test_freezes_are_found_where_signing_is_due() -> None:
    fps = 25.0
    clip = np.cumsum(0.05 * noise(200, 60, 3), axis=0)
    active = np.ones(200, bool)
    assert longest_freeze_s(clip, fps, active) == 0.0
    clip[50:76] = clip[50]  # 25 steps without movement
    clip[150:160] = clip[150]
    assert longest_freeze_s(clip, fps, active) == pytest.approx(1.0)
    active[40:80] = False
    assert longest_freeze_s(clip, fps, active) == pytest.approx(9 / fps)
    with pytest.raises(ValueError, match="expected as many"):
        longest_freeze_s(clip, fps, active[1:])


def test_drift_of_place_and_of_liveliness() -> None:
    fps, period = 25.0, noise(50, 60, 3)
    steady = np.tile(period, (6, 1, 1))
    found = drift(steady, fps, 2.0)
    assert found.place == pytest.approx(0, abs=1e-6)
    assert found.slowest == pytest.approx(1, abs=1e-6)
    slipping = steady.copy()
    slipping[:, POSE_HAND["right"], 0] += np.repeat(0.1 * np.arange(6, dtype=np.float32), 50)[:, None]
    assert drift(slipping, fps, 2.0).place == pytest.approx(0.5, rel=1e-4)
    fading = steady * np.repeat(0.8 ** np.arange(6), 50).astype(np.float32)[:, None, None]
    assert drift(fading, fps, 2.0).slowest == pytest.approx(0.8**5, rel=1e-3)
    assert drift(fading[::-1], fps, 2.0).fastest == pytest.approx(0.8**-5, rel=1e-3)
    with pytest.raises(ValueError, match="sign for longer"):
        drift(steady[:60], fps, 2.0)


def pictures(seed: int, count: int = 12) -> np.ndarray:
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (count, 6, 8, 3), dtype=np.uint8)
    return blocks.repeat(8, axis=1).repeat(8, axis=2)


def tensors(*sets: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(s).permute(0, 3, 1, 2).float() for s in sets]


def test_picture_metrics_agree_with_torchmetrics() -> None:
    a = pictures(0, 3)
    b = np.clip(a + np.random.default_rng(2).normal(0, 20, a.shape), 0, 255).astype(np.uint8)
    x, y = tensors(a, b)
    _, whole = second_opinion.structural_similarity_index_measure(
        x, y, data_range=255.0, return_full_image=True
    )  # torchmetrics counts the rim, where windows look past the picture; scikit-image and Wang et al. do not
    assert ssim(a, b) == pytest.approx(float(whole[..., 5:-5, 5:-5].mean()), abs=1e-4)
    wanted = [second_opinion.peak_signal_noise_ratio(x[i], y[i], data_range=255.0) for i in range(3)]
    assert psnr(a, b) == pytest.approx(float(np.mean(wanted)), rel=1e-5)
    assert ssim(a, a) == pytest.approx(1)
    assert psnr(a, a) == np.inf
    with pytest.raises(ValueError, match="of one size"):
        ssim(a, b[:, :-1])


def test_frechet_distance_by_hand_and_against_torchmetrics() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(size=(4000, 3))
    base = (base - base.mean(0)) @ np.linalg.inv(
        np.linalg.cholesky(np.cov(base, rowvar=False))
    ).T  # exactly white
    moved = base * [1, 2, 3] + [
        1,
        0,
        2,
    ]  # 1 + 4 for the means, (1-1)^2 + (2-1)^2 + (3-1)^2 for the deviations
    assert frechet(base, moved) == pytest.approx(10.0, rel=1e-6)
    assert frechet(base, base) == pytest.approx(0, abs=1e-6)

    class Seen(torch.nn.Module):
        num_features = 64

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(random_features(x.permute(0, 2, 3, 1).numpy()))

    a, b = pictures(0, 150), pictures(1, 150) // 2
    other = FrechetInceptionDistance(feature=Seen(), input_img_size=(3, 48, 64)).set_dtype(torch.float64)
    for real, batch in ((True, a), (False, b)):
        other.update(torch.from_numpy(batch).permute(0, 3, 1, 2), real=real)
    assert fid(a, b) == pytest.approx(float(other.compute()), rel=1e-3)
    assert fid(a, b) > 10 * fid(a, pictures(2, 150))


def test_a_trend_has_an_interval() -> None:
    """By hand: about (1, 2) the slope of (0, 1), (1, 1), (2, 4) is 3 / 2, residuals are 1/2, -1, 1/2; so its
    standard error is sqrt(1.5 / 1 / 2), and Student's 97.5 % point of one degree is 12.706."""
    found = trend([0, 1, 2], [1, 1, 4])
    assert found.slope == pytest.approx(1.5)
    assert found.high - found.slope == pytest.approx(12.706 * 0.75**0.5, rel=1e-3)
    assert found.none
    rising = trend(np.arange(30) % 10, np.arange(30) % 10 + np.tile([0.1, -0.1, 0.0], 10))
    assert not rising.none
    with pytest.raises(ValueError, match="expected as many, at least three"):
        trend([0, 1], [0, 1])
