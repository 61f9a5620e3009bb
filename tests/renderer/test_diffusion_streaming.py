"""The video renderer frame by frame: a stream batch is its frames in turn; still ones are skipped."""

import contextlib
import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from renderer.base import DeviceLost
from renderer.diffusion import backends
from renderer.diffusion.config import VideoConfig
from renderer.diffusion.model import VideoModel
from renderer.diffusion.reference import avatar_reference, cut_out, picture_reference, shoulders
from renderer.diffusion.renderer import VideoRenderer
from renderer.diffusion.samplers import STEPS, ddim, few_step, pairs, schedule
from renderer.diffusion.streaming import FrameStream
from tests.renderer.frames import frame, pose
from tests.renderer.test_diffusion_network import FINE, SMALL, denoiser

torch.set_num_threads(1)
KINDS = {"teacher": ddim, "student": few_step}


def scene(frames, seed=3, config=SMALL):
    random = torch.Generator().manual_seed(seed)
    model = denoiser(config)
    picture = torch.rand(1, 3, 16, 16, generator=random) * 2 - 1
    maps = torch.rand(frames + 1, 1, 3, 3, config.map_size, config.map_size, generator=random)
    with torch.inference_mode():
        return model, model.open(picture, maps[-1]), list(maps[:-1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_direct_is_the_sampler_told_the_picture_before(kind, steps):
    model, reference, frames = scene(4)
    stream = FrameStream(model, kind, reference, 1, steps, stream=False)
    state = stream.open()
    previous, known = torch.zeros(1, 3, 16, 16), torch.zeros(1)
    for maps in frames:

        def predict(x, sigma, maps=maps, previous=previous, known=known):
            return model(x, sigma, previous, known, torch.tensor([1]), model.pose(maps), reference)

        with torch.inference_mode():
            expected = KINDS[kind](predict, stream._noise, schedule(steps)).clamp(-1, 1)
        made = stream.advance(maps, state)
        assert (made - expected).abs().max() <= 1e-5
        previous, known = made.clone(), torch.ones(1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [2, 3, 4])
@pytest.mark.parametrize("config", [SMALL, FINE], ids=["", "finer maps"])
def test_a_stream_batch_is_its_frames_one_after_the_other(kind, steps, config):
    """At step j of frame i the newest finished picture is that of frame i + j - steps."""
    model, reference, frames = scene(9, config=config)
    stream = FrameStream(model, kind, reference, 0, steps, stream=True)
    state = stream.open()
    batched = [stream.advance(maps, state) for maps in frames]
    assert stream.delay == steps - 1
    noise, finished = stream._noise, []
    entered = [frames[0]] * (steps - 1) + frames  # a stream begins full of its first frame
    for i, maps in enumerate(entered[: len(frames)]):
        x = noise
        with torch.inference_mode():
            for j, (sigma, following) in enumerate(pairs(schedule(steps))):
                at = i + j - steps
                previous = finished[at] if at >= 0 else torch.zeros_like(x)
                known, now, then = (
                    torch.tensor([float(at >= 0)]),
                    torch.tensor([sigma]),
                    torch.tensor([following]),
                )
                v = model(x, now, previous, known, torch.tensor([0]), model.pose(maps), reference)
                x = STEPS[kind](x, v, noise, now, then)
        finished.append(x.clamp(-1, 1))
    for one, many in zip(finished, batched, strict=True):
        assert (one - many).abs().max() <= 1e-4
    assert (finished[-1] - finished[0]).abs().max() > 1e-2, "frames differ, or nothing was shown"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An untrained model of 64 pixels that has something in every layer."""
    from renderer.diffusion.config import DenoiserConfig

    config = DenoiserConfig(64, 4, (8, 16), 1, (4, 4, 8), 8, 2, fineness=2)
    return VideoModel(denoiser(config), "student", 2).save(tmp_path_factory.mktemp("video") / "m")


@pytest.fixture
def drawing(folder):
    """drawing(**options) -> an open renderer, closed with the test."""
    made = []

    def opened(**options):
        renderer = VideoRenderer(
            VideoConfig(folder, **{"width": 96, "height": 96, "device": "cpu", **options})
        )
        made.append(renderer)
        renderer.open()
        return renderer

    yield opened
    for renderer in made:
        renderer.close()


def moving(count):
    return [frame(pose(left_elbow=(0, -0.2 * n, 0)), seq=n) for n in range(count)]


def test_pictures_are_of_the_size_asked_and_follow_the_motion(drawing):
    renderer = drawing()
    pictures = [renderer.render(motion) for motion in moving(3)]
    assert [p.seq for p in pictures] == [0, 1, 2]
    assert pictures[0].i420.shape == (144, 96)
    assert (pictures[0].gloss, pictures[0].alpha) == (3, None)
    assert not np.array_equal(pictures[0].i420, pictures[2].i420)
    assert renderer.rgba(moving(4)[3]).shape == (96, 96, 4)
    assert renderer.device == "cpu, eager"
    renderer.close()
    with pytest.raises(RuntimeError, match="call open"):
        renderer.render(moving(1)[0])
    renderer.open()
    renderer.open()


def test_the_same_motion_gives_the_same_pictures_again(drawing):
    """A renderer that was closed and opened has forgotten everything."""
    renderer = drawing()
    first = [renderer.render(motion).i420 for motion in moving(3)]
    renderer.close()
    renderer.open()
    assert all(np.array_equal(a, renderer.render(m).i420) for a, m in zip(first, moving(3), strict=True))


def test_a_still_signer_is_not_drawn_again(drawing):
    renderer = drawing()
    still = frame()
    first = renderer.render(still)
    calls = renderer._state.calls
    again = renderer.render(dataclasses.replace(still, seq=9, pts_ns=99))
    assert (renderer.skipped, renderer._state.calls) == (1, calls)
    assert (again.seq, again.pts_ns) == (9, 99)
    assert np.array_equal(first.i420, again.i420)
    assert first.i420 is not again.i420
    renderer.render(moving(3)[2])
    assert renderer._state.calls == calls + 1


def test_a_stream_shows_each_motion_later_by_its_delay(drawing):
    renderer = drawing(mode="stream", steps=4)
    motions = moving(8)
    pictures = [renderer.render(motion) for motion in motions]
    assert [p.seq for p in pictures] == [0, 0, 0, 0, 1, 2, 3, 4]
    assert [p.pts_ns for p in pictures] == [m.pts_ns for m in motions], "shown when its call was"
    for n in range(5):
        renderer.render(dataclasses.replace(motions[-1], seq=100 + n))
    assert renderer.skipped == 2, "the picture shown and all in flight must be alike first"


def test_motion_that_is_no_number_keeps_the_pose_before(drawing):
    renderer = drawing()
    good = moving(3)
    renderer.render(good[0])
    bad = dataclasses.replace(good[1], hands=np.full((2, 16, 3), np.nan, np.float32))
    shown = renderer.render(bad)
    assert (shown.seq, renderer.held) == (1, 1)
    assert shown.i420.min() >= 0
    fresh = drawing()
    first = fresh.render(bad)  # nothing before it: the resting pose
    assert first.i420[:96].std() > 1, "not a black picture"


def test_the_reference_is_what_is_copied(drawing):
    one, other = drawing(signer="mira"), drawing(signer="kofi")
    assert not np.array_equal(one.render(frame()).i420, other.render(frame()).i420)


def test_styles_differ_and_unknown_ones_are_refused(drawing, folder):
    natural, ink = drawing(), drawing(style="ink")
    assert not np.array_equal(natural.render(frame()).i420, ink.render(frame()).i420)
    with pytest.raises(ValueError, match="does not know 'oil'"):
        VideoRenderer(VideoConfig(folder, style="oil"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_a_gpu_is_refused_when_opened(folder):
    renderer = VideoRenderer(VideoConfig(folder, device="cuda"))
    with pytest.raises(RuntimeError, match=r"no device cuda .*--renderer avatar"):
        renderer.open()


def test_out_of_memory_is_a_lost_device_and_a_bug_is_not(drawing):
    renderer = drawing()
    for error, kind in (
        (torch.OutOfMemoryError("CUDA out of memory"), DeviceLost),
        (RuntimeError("CUDA error: an illegal memory access"), DeviceLost),
        (RuntimeError("shapes do not fit"), RuntimeError),
    ):

        def fail(*_, error=error):
            raise error

        renderer._stream.core = fail
        with pytest.raises(RuntimeError) as caught:
            renderer.render(frame(pose(left_elbow=(0, -1, 0))))
        assert type(caught.value) is kind


def test_out_of_memory_while_opening_closes_it_and_names_the_remedy(drawing, monkeypatch):
    renderer = drawing()
    renderer.close()

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    with monkeypatch.context() as patched:
        patched.setattr(FrameStream, "advance", full)
        with pytest.raises(RuntimeError, match=r"cannot hold or run the model .*--renderer avatar"):
            renderer.open()
        assert renderer.device == ""
    renderer.open()
    assert renderer.render(frame()).i420.std() > 1


def test_a_network_that_gives_no_numbers_is_lost_and_forgotten(drawing):
    """Told its own black picture, it would draw black for ever."""
    renderer = drawing()
    good, bad = moving(2)
    expected = [renderer.render(m).i420 for m in (good, bad)]
    network = renderer._stream.core
    renderer._stream.core = lambda *inputs: network(*inputs) * torch.nan
    with pytest.raises(DeviceLost, match="no numbers"):
        renderer.render(moving(3)[2])
    renderer.close()
    renderer.open()
    assert all(np.array_equal(a, renderer.render(m).i420) for a, m in zip(expected, (good, bad), strict=True))


def test_half_precision_keeps_the_noise_level_exact(folder, monkeypatch):
    """On a CUDA device; the CPU stands in for it."""
    made = []
    monkeypatch.setattr("renderer.diffusion.renderer.build", lambda network, *_: made.append(network))

    class Device(str):
        type = "cuda"

    renderer = VideoRenderer(VideoConfig(folder, precision="bfloat16"))
    picture = np.zeros((64, 64, 3), np.uint8)
    with contextlib.suppress(AttributeError):  # nothing was built
        renderer._made(Device("cpu"), picture)
    [network] = made
    assert network.first.weight.dtype == torch.bfloat16
    whole = renderer._model.denoiser.level
    for one, other in zip(network.level.parameters(), whole.parameters(), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(network.level.rates, whole.rates)


def test_backends_agree_with_the_plain_network_or_are_not_used(monkeypatch):
    """Captured whole by the compiler (no graph break), and equal; what is not there is told."""
    model, reference, _ = scene(1)
    example, _ = FrameStream(model, "student", reference, 0, 2, stream=True).examples()
    monkeypatch.setattr(backends, "COMPILER", "aot_eager")
    compiled = backends.build(model, "compile", example)
    assert (compiled.name, compiled.reason) == ("compile", "")
    assert compiled.error <= 1e-4
    assert backends.build(model, "auto", example).name == (
        "graphs of compiled" if example[0].is_cuda else "eager"
    )
    monkeypatch.setattr(backends, "COMPILER", "no such compiler")
    fallen = backends.build(model, "compile", example)
    assert fallen.name == "eager"
    assert "compile:" in fallen.reason
    if not torch.cuda.is_available():
        for wanted in ("graphs", "tensorrt"):
            fallen = backends.build(model, wanted, example)
            assert fallen.name == "eager"
            assert "CUDA device" in fallen.reason


def test_a_backend_that_is_wrong_is_found_out(monkeypatch):
    model, reference, _ = scene(1)
    example, other = FrameStream(model, "student", reference, 0, 2, stream=False).examples()
    monkeypatch.setattr(backends, "_compiled", lambda denoiser: lambda *inputs: denoiser(*inputs) + 0.1)
    core = backends.build(model, "compile", example)
    assert core.name == "eager"
    assert "differs from the plain network by 0.1" in core.reason
    frozen = model(*example)  # a graph captured on another device would answer the same for ever
    monkeypatch.setattr(backends, "_compiled", lambda denoiser: lambda *inputs: frozen)
    assert backends.build(model, "compile", example).name == "compile", "nobody asked it anything else"
    core = backends.build(model, "compile", example, other)
    assert (core.name, core.call) == ("eager", model)
    assert "differs from the plain network" in core.reason

    def dumb(denoiser):
        raise RuntimeError

    monkeypatch.setattr(backends, "_compiled", dumb)
    assert backends.build(model, "compile", example).reason == "compile: RuntimeError: "


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("wanted", ["compile", "graphs", "tensorrt"])
def test_on_a_gpu_each_backend_is_equal_frame_after_frame(wanted, monkeypatch):
    if wanted == "tensorrt":
        pytest.importorskip("torch_tensorrt", reason="the extra `tensorrt` is not installed")
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # rounded otherwise each time
    model, reference, frames = scene(3)
    model, frames = model.cuda(), [maps.cuda() for maps in frames]
    levels = tuple(level.cuda() for level in reference.levels)
    reference = type(reference)(levels, *(part.cuda() for part in reference[1:]))
    made = []
    for backend in ("eager", wanted):
        stream = FrameStream(model, "student", reference, 0, 2, stream=True)
        core = backends.build(model, backend, *stream.examples())
        assert core.name.startswith(backend)
        stream.core = core.call
        state = stream.open()
        made.append([stream.advance(maps, state).clone() for maps in frames])
    for left, right in zip(*made, strict=True):
        assert (left - right).abs().max() <= 1e-3


def test_a_picture_without_a_person_is_no_reference(tmp_path):
    path = tmp_path / "nobody.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)).save(path)
    with pytest.raises(ValueError, match="no person with both shoulders"):
        picture_reference(path, 64)
    path.write_text("no picture")
    with pytest.raises(ValueError, match="not a readable picture"):
        picture_reference(path, 64)


def test_a_person_is_cut_out_where_the_avatar_would_be(tmp_path, folder):
    """The avatar itself, off centre in a larger picture, comes back as the avatar's own reference."""
    large = avatar_reference("kenji", 360)
    canvas = np.full((480, 640, 3), 128, np.uint8)
    canvas[60:420, 200:560] = large
    path = tmp_path / "person.png"
    Image.fromarray(canvas).save(path)
    found = picture_reference(path, 64)
    left, right = shoulders(canvas, path)
    assert left[0] > right[0], "the signer's left is on the right of the picture"
    expected = avatar_reference("kenji", 64)
    assert np.abs(found[10:50, 16:48].astype(float) - expected[10:50, 16:48]).mean() < 25
    straight = cut_out(large, *_avatar_shoulders(360), 64)
    assert np.abs(straight.astype(float) - expected).mean() < 6
    assert VideoRenderer(VideoConfig(folder, reference=path)).config.reference == path
    lying = tmp_path / "lying.png"
    turned = Image.fromarray(canvas).transpose(Image.Transpose.ROTATE_90)
    turned.getexif()[0x0112] = 6  # "turn me clockwise", as phones say
    turned.save(lying, exif=turned.getexif())
    assert np.array_equal(picture_reference(lying, 64), found)


def test_a_picture_too_large_to_look_at_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    path = tmp_path / "huge.png"
    Image.fromarray(np.zeros((30, 30, 3), np.uint8)).save(path)
    with pytest.raises(ValueError, match="not a readable picture"):
        picture_reference(path, 64)


def _avatar_shoulders(size):
    from engine.body import load_body
    from renderer.avatar.framing import to_pixels
    from renderer.resting import resting_motion

    return to_pixels(load_body().fk(resting_motion().smplx[0])[1][[16, 17]], size, size)
