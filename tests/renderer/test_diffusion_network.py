"""The denoiser and its samplers: what begins at zero, what is weighed, what is cached, what is exact."""

import dataclasses
import json

import pytest
import torch

from renderer.diffusion.config import SIZES, DenoiserConfig, VideoConfig
from renderer.diffusion.denoiser import COLOURS, KEPT_AT_FIRST, Denoiser
from renderer.diffusion.guess import behind, palette
from renderer.diffusion.model import VideoModel
from renderer.diffusion.reference import reference_maps
from renderer.diffusion.samplers import cleaned, ddim, few_step, noised, schedule, velocity

torch.set_num_threads(1)
SMALL = DenoiserConfig(16, 2, (8, 16), 1, (4, 4, 8), 8, 2)
FINE = dataclasses.replace(SMALL, edges=(8, 8), fineness=2)


def denoiser(config=SMALL, seed=0, alive=True):
    """alive: the layers that begin at zero hold something, as after training."""
    torch.manual_seed(seed)
    made = Denoiser(config).eval().requires_grad_(False)
    if alive:
        for parameter in made.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.1)
    return made


def told(rows, size=16, seed=1):
    random = torch.Generator().manual_seed(seed)
    picture, previous = torch.randn(2, rows, 3, size, size, generator=random)
    maps = torch.rand(rows, 3, 3, size, size, generator=random)
    sigma = torch.rand(rows, generator=random)
    return picture, sigma, previous, torch.ones(rows), torch.arange(rows) % 3, maps


def test_all_sizes_can_be_built():
    counts = {}
    for name, config in SIZES.items():
        with torch.device("meta"):
            counts[name] = sum(p.numel() for p in Denoiser(config).parameters())
    assert counts["tiny"] < 2e6 < 2e7 < counts["base"] < counts["large"] < 2e8


@pytest.mark.parametrize(
    "wrong",
    [{"size": 18}, {"size": 8},
     {"patch": 3}, {"widths": ()}, {"widths": (8, 12)}, {"stem": (4,)}, {"heads": 3},
     {"styles": ("a", "a")}, {"blocks": 0}, {"edges": ()}, {"fineness": 3}, {"patch": 8, "fineness": 2}],
)  # fmt: skip
def test_networks_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match="DenoiserConfig"):
        dataclasses.replace(SMALL, **wrong)


def test_before_training_pose_and_reference_add_nothing_and_after_they_do():
    for alive in (False, True):
        model = denoiser(alive=alive)
        x, sigma, previous, known, style, maps = told(2)
        reference, pose = model.open(x, maps), model.pose(maps)
        drawn = {name: getattr(reference, name) for name in ("picture", "behind", "palette")}
        other, moved = model.open(-x, 1 - maps)._replace(**drawn), model.pose(1 - maps)
        # the last layer begins at zero too, so look at what is injected
        assert any(bool(level.any()) for level in (*pose[:-1], *reference.levels)) == alive
        first = model(x, sigma, previous, known, style, pose, reference)
        assert torch.equal(first, model(x, sigma, previous, known, style, moved, reference)) == (not alive)
        assert torch.equal(first, model(x, sigma, previous, known, style, pose, other)) == (not alive)


def test_an_untrained_network_draws_its_reference_from_noise():
    model = denoiser(alive=False)
    noise, _, previous, known, style, maps = told(2)
    picture = torch.rand(2, 3, 16, 16) * 2 - 1
    one = torch.ones(2)
    v = model(noise, one, previous, known, style, model.pose(maps), model.open(picture, maps))
    others = torch.zeros(COLOURS + 1)
    kept = float(torch.cat([torch.tensor([KEPT_AT_FIRST]), others]).softmax(0)[0])
    assert kept > 0.85
    assert (cleaned(noise, v, one) - kept * picture).abs().max() < 1 - kept, "the rest: place and colours"
    nothing = torch.zeros(2)  # no noise: the picture that is there stays
    v = model(noise, nothing, previous, known, style, model.pose(maps), model.open(picture, maps))
    assert torch.allclose(cleaned(noise, v, nothing), noise, atol=1e-5)


def test_the_gate_weighs_each_modality_at_each_place():
    model = denoiser()
    features = model.gate.stem(torch.rand(2, 9, 16, 16))
    weights = model.gate.weights(features)
    assert weights.shape == (2, 3, 8, 8)
    assert ((weights > 0) & (weights < 1)).all()
    model.gate.gate[-1].bias.copy_(torch.tensor([-100.0, 100.0, -100.0]))  # believe the hands only
    maps = torch.rand(1, 3, 3, 16, 16)
    changed = maps.clone()
    changed[:, 0], changed[:, 2] = 1 - maps[:, 0], 1 - maps[:, 2]
    before, after = model.pose(maps)[:-1], model.pose(changed)[:-1]
    assert max(float((a - b).abs().max()) for a, b in zip(before, after, strict=True)) < 1e-5
    changed[:, 1] = 1 - maps[:, 1]
    assert float((model.pose(changed)[0] - before[0]).abs().max()) > 1e-3


def test_finer_maps_are_seen_finer_but_for_the_reference():
    """What differs within a pixel alone is seen of the pose, and is as nothing of the reference's."""
    model = denoiser(FINE)
    x, sigma, previous, known, style, _ = told(2)
    maps = torch.rand(2, 3, 3, 32, 32)
    turned = maps.unflatten(-1, (16, 2)).flip(-1).flatten(-2)  # the same in the mean of each pixel
    reference, pose = model.open(x, maps), model.pose(maps)
    for one, other in zip(reference, model.open(x, turned), strict=True):
        for a, b in zip(one, other, strict=True):
            assert torch.allclose(a, b, atol=1e-5)
    first = model(x, sigma, previous, known, style, pose, reference)
    assert first.shape == (2, 3, 16, 16)
    assert (first - model(x, sigma, previous, known, style, model.pose(turned), reference)).abs().max() > 1e-2


def test_a_previous_picture_that_is_not_known_is_not_looked_at():
    model = denoiser()
    x, sigma, previous, known, style, maps = told(2)
    reference, pose = model.open(x, maps), model.pose(maps)
    none = torch.zeros_like(known)
    blind = model(x, sigma, previous, none, style, pose, reference)
    assert torch.equal(blind, model(x, sigma, previous + 1, none, style, pose, reference))
    assert not torch.equal(blind, model(x, sigma, previous, known, style, pose, reference))


def test_the_cached_reference_is_the_reference():
    model = denoiser()
    x, sigma, previous, known, style, maps = told(3)
    one = model.open(x[:1], maps[:1])
    again = model.open(x[:1].expand(3, -1, -1, -1), maps[:1].expand(3, -1, -1, -1, -1))
    pose = model.pose(maps)
    left, right = (model(x, sigma, previous, known, style, pose, r) for r in (one.repeated(3), again))
    assert torch.allclose(left, right, atol=1e-5)


def test_the_place_behind_a_signer_is_continued_from_around():
    """A person on a sloping background: the slope is found again, whoever stands there."""
    slope = torch.linspace(-1, 1, 48).expand(1, 3, 48, 48)
    maps = reference_maps(48)
    person = maps[:, 2:3].amax(2) > 0
    seen = torch.where(person, torch.rand(1, 3, 48, 48), slope)
    other = torch.where(person, torch.rand(1, 3, 48, 48), slope)
    found = behind(seen, maps)
    assert torch.equal(found, behind(other, maps)), "nothing of the person is in it"
    assert (found - slope).abs().max() < 0.25
    assert torch.equal(found[..., :2], slope[..., :2]), "where it was seen it is as seen"


def test_colours_of_a_palette_are_those_of_the_places_chosen():
    picture = torch.zeros(1, 3, 8, 8)
    picture[:, 0, :, 4:] = 1.0
    chosen = torch.full((1, 2, 4, 4), -50.0)
    chosen[:, 0, :, 2:] = chosen[:, 1, :, :2] = 50.0
    assert torch.allclose(palette(picture, chosen), torch.tensor([[[1.0, 0, 0], [0, 0, 0]]]), atol=1e-5)


def test_picture_noise_and_velocity_belong_together():
    random = torch.Generator().manual_seed(0)
    picture, noise = torch.randn(2, 5, 3, 8, 8, generator=random)
    sigma = torch.tensor([1.0, 0.9, 0.5, 0.1, 0.0])
    x = noised(picture, noise, sigma)
    assert torch.equal(x[0], noise[0]), "no signal is left at sigma 1"
    assert torch.allclose(cleaned(x, velocity(picture, noise, sigma), sigma), picture, atol=1e-5)


@pytest.mark.parametrize("sample", [ddim, few_step])
@pytest.mark.parametrize("steps", [1, 2, 4, 8])
def test_a_model_that_knows_the_picture_gives_it_back(sample, steps):
    random = torch.Generator().manual_seed(0)
    picture, noise = torch.randn(2, 2, 3, 8, 8, generator=random)

    def knows(x, sigma):
        s = sigma[:, None, None, None]
        return ((1 - s * s).sqrt() * x - picture) / s  # v such that the cleaned x is the picture

    assert torch.allclose(sample(knows, noise, schedule(steps)), picture, atol=1e-4)


@pytest.mark.parametrize("sigmas", [(), (0.9, 0.5), (1.0, 1.0), (1.0, 0.0), (1.0, 0.2, 0.4)])
def test_sigmas_that_do_not_fall_from_one_are_refused(sigmas):
    with pytest.raises(ValueError, match="falling numbers from 1"):
        ddim(lambda x, s: x, torch.zeros(1, 3, 4, 4), sigmas)


@pytest.mark.parametrize("half", [False, True])
def test_a_model_comes_back_as_it_was_saved(tmp_path, half):
    made = VideoModel(denoiser(), "student", 2)
    made.save(tmp_path / "m", half=half, figures={"psnr": 20.0})
    back = VideoModel.open(tmp_path / "m", size=16)
    assert (back.kind, back.steps, back.config) == ("student", 2, SMALL)
    for (name, left), right in zip(
        made.denoiser.state_dict().items(), back.denoiser.state_dict().values(), strict=True
    ):
        assert torch.equal(left.half().float() if half else left, right), name
        assert right.dtype == torch.float32


def test_models_that_do_not_fit_are_told_apart(tmp_path):
    folder = VideoModel(denoiser(), "teacher", 8).save(tmp_path / "m")
    with pytest.raises(ValueError, match="expected 64x64"):
        VideoModel.open(folder, size=64)
    with pytest.raises(ValueError, match="does not know 'oil'"):
        VideoModel.open(folder).style("oil")
    path = folder / "config.json"
    config = json.loads(path.read_text())
    for change, message in (
        ({"version": 99}, "expected 3"),
        ({"format": "handstream.other"}, "expected a video model"),
        ({"kind": "pupil"}, "expected teacher or student"),
        ({"steps": 0}, "expected 1 to 64"),
        ({"steps": "x"}, "expected 1 to 64"),
        ({"denoiser": None}, "describes no network"),
        ({"denoiser": {**config["denoiser"], "wings": 2}}, "another network"),
        ({"denoiser": {**config["denoiser"], "widths": [16, 16]}}, "do not fit the network"),
    ):
        path.write_text(json.dumps({**config, **change}))
        with pytest.raises(ValueError, match=message):
            VideoModel.open(folder)
    path.write_text(json.dumps(config))
    weights = next(folder.glob("weights-*"))
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ValueError, match="truncated or was changed"):
        VideoModel.open(folder)
    with pytest.raises(ValueError, match="expected a folder with"):
        VideoModel.open(tmp_path / "nothing")


@pytest.mark.parametrize(
    "wrong",
    [{"width": 640}, {"width": 15, "height": 15}, {"steps": -1}, {"mode": "fast"}, {"backend": "jax"},
     {"device": "tpu"}],
)  # fmt: skip
def test_what_cannot_be_served_is_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match="VideoConfig"):
        VideoConfig(tmp_path, **wrong)
