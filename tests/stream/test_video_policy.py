"""The video renderer on the ladder: whatever becomes of it, each motion has its picture (counted)."""

import argparse
import asyncio
import contextlib
import dataclasses

import numpy as np
import pytest
import torch

from renderer.avatar import AvatarConfig
from renderer.base import VIDEO
from renderer.diffusion import SHIPPED
from renderer.diffusion.config import DenoiserConfig, VideoConfig
from renderer.diffusion.denoiser import Denoiser
from renderer.diffusion.model import VideoModel
from renderer.diffusion.renderer import VideoRenderer
from stream import kiosk_command, render_command
from stream.cast import default_cast
from stream.cli import main
from stream.config import Config, SignerSettings, VideoSettings
from stream.dissolve import Dissolve
from stream.label import label_i420
from stream.remote.source import RemoteSource
from stream.renderers import choose_drawing, file_renderer
from stream.rendering import RenderThreads
from stream.shared_renderer import SharedRenderer
from tests.renderer.frames import frame, pose
from tests.stream.faults import Faults
from tests.stream.stand_ins import BarRenderer, motion_frame

torch.set_num_threads(1)
PATIENT = dataclasses.replace(VIDEO, hung_s=600.0, retry_s=0.05, trial_pictures=2)
CONFIG = DenoiserConfig(64, 4, (8, 16), 1, (4, 4, 8), 8, 2)


class Stage:
    """One signer whose motion is sent one by one, each after the picture of the one before."""

    def __init__(self, make, below, moved=motion_frame, policy=PATIENT):
        self.faults, self.below = Faults(), Faults()
        self.threads = RenderThreads(25.0, preferred=policy)
        self.shots, self.sent = [], 0
        self._make, self._below, self._moved = self.faults.wrap(make), self.below.wrap(below), moved

    async def __aenter__(self):
        make, below = self._make, self._below
        await self.threads.add("main", lambda: make(None), self.shots.append, lambda: below(None))
        await until(lambda: self.stats()["renderers"][1] == "fit")
        return self

    async def __aexit__(self, *_):
        self.faults.release()
        await self.threads.close()

    def stats(self):
        return self.threads.stats("main")

    async def move(self, count=1):
        """So many motions; returns when the last one's own picture was shown."""
        for _ in range(count):
            self.sent += 1
            self.threads.submit("main", self._moved(self.sent, self.sent * 40_000_000))
            await until(lambda n=self.sent: any(shot.seq == n for shot in self.shots[-8:]))

    async def until(self, condition):
        """Motion goes on until then."""
        async with asyncio.timeout(120):
            while not condition():
                await self.move()

    async def healed(self):
        await self.until(lambda: self.stats()["drawing"] == 0)


async def until(condition, timeout_s=120.0):
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - any condition will do
            await asyncio.sleep(0.005)


def in_order(shots):
    """Every motion has exactly one picture of its own; besides, the last one may have been sent again."""
    shown = [shot.seq for shot in shots]
    return [n for n, before in zip(shown, [None, *shown], strict=False) if n != before]


async def test_killed_slow_or_hanging_every_motion_has_its_picture():
    async with Stage(lambda _: BarRenderer(), lambda _: BarRenderer()) as stage:
        await stage.move(5)
        stage.faults.kill()
        await stage.until(lambda: stage.stats()["render_failures_by_kind"]["dead"] == 1)
        await stage.move(5)
        await stage.healed()
        stage.faults.slow_s = 0.5  # two pictures a second
        await stage.until(lambda: stage.stats()["render_failures_by_kind"]["slow"] >= 1)
        assert stage.stats()["drawing"] == 1
        stage.faults.slow_s = 0.0
        await stage.healed()
        below = stage.stats()["rendered_below"]
        stage.faults.hang()  # and is never given up: its very picture is drawn below, with no newer motion
        await stage.move(10)
        assert stage.stats()["rendered_below"] == below + 10
        stage.faults.release()
        await stage.healed()
        assert stage.stats()["renderers_healed"] >= 2
        assert in_order(stage.shots) == list(range(1, stage.sent + 1))


async def test_absent_from_the_start_the_avatar_draws_and_it_may_come_later():
    stage = Stage(lambda _: BarRenderer(), lambda _: BarRenderer())
    stage.faults.unopenable = True
    async with stage:
        await stage.move(5)
        assert stage.stats()["drawing"] == 1
        stage.faults.unopenable = False
        await stage.healed()
        assert in_order(stage.shots) == list(range(1, stage.sent + 1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    network = Denoiser(CONFIG)
    for parameter in network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, 0, 0.1)
    return VideoModel(network, "student", 1).save(tmp_path_factory.mktemp("video") / "m")


def real_motion(seq, pts_ns):
    moved = frame(pose(left_elbow=(0, -0.05 * seq, 0)), seq=seq)
    return dataclasses.replace(moved, pts_ns=pts_ns)


async def test_the_real_one_gives_way_to_the_real_avatar_in_the_same_frame(folder):
    """Same size and framing, no jump between them, every motion shown, and it comes back."""
    video = VideoSettings("diffusion", folder, device="cpu")
    cast = default_cast(Config(width=96, height=96, video=video))
    settings = SignerSettings("main", avatar="mira")
    patient = dataclasses.replace(PATIENT, late_periods=1000.0)  # whatever this machine is doing besides
    stage = Stage(lambda _: cast.renderer(settings), lambda _: cast.fallback(settings), real_motion, patient)
    try:
        async with stage:
            await stage.move(3)
            assert isinstance(stage.faults.drawing().inner.inner, VideoRenderer)
            before = stage.shots[-1].i420.astype(int)
            stage.faults.unopenable = True  # it does not come back while we look
            stage.faults.kill()
            await stage.move(1)
            first = stage.shots[-1].i420.astype(int)
            await stage.move(8)
            avatar = stage.shots[-1].i420.astype(int)
            assert isinstance(stage.below.drawing().inner.inner, SharedRenderer)
            assert first.shape == before.shape == (144, 96)
            jump = np.abs(avatar - before).mean()
            assert jump > 10, "an untrained model's picture is nothing like the avatar's"
            assert np.abs(first - before).mean() < 0.5 * jump, "the first one after the switch is a blend"
            stage.faults.unopenable = False
            await stage.healed()
            assert in_order(stage.shots) == list(range(1, stage.sent + 1))
    finally:
        cast.close()


def test_a_dissolve_goes_evenly_from_one_to_the_other():
    dark, bright = np.full((6, 4), 20, np.uint8), np.full((6, 4), 220, np.uint8)
    fade = Dissolve(4)
    assert fade.shown(dark, 0) is dark
    seen = [int(fade.shown(bright, 1)[0, 0]) for _ in range(6)]
    assert seen[-2:] == [220, 220]
    steps = np.diff([20, *seen[:5]])
    assert (steps >= 35).all()
    assert (steps <= 45).all()
    back = [int(fade.shown(dark, 0)[0, 0]) for _ in range(2)]
    assert 20 < back[1] < back[0] < 220
    again = [int(fade.shown(bright, 1)[0, 0]) for _ in range(6)]
    assert back[1] < again[0] < 220, "a switch within a switch begins where that one was"
    assert dark.max() == 20
    other_size = np.full((12, 4), 9, np.uint8)
    assert fade.shown(other_size, 2) is other_size
    none = Dissolve(0)
    none.shown(dark, 0)
    assert none.shown(bright, 1) is bright


def test_who_draws_follows_from_what_is_there(folder, caplog):
    assert choose_drawing(VideoSettings(), live=True).below is None
    assert choose_drawing(VideoSettings("avatar", folder), live=True).below is None
    live = choose_drawing(VideoSettings("auto", folder), live=True)
    if not torch.cuda.is_available():
        assert live.below is None
        assert "there is no GPU" in live.reason
        assert "there is no GPU" in caplog.text
    assert choose_drawing(VideoSettings("auto", folder), live=False).below is not None
    assert choose_drawing(VideoSettings("diffusion", folder), live=True).below is not None


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"renderer": "oil"}, "expected one of auto, diffusion, avatar"),
     ({"style": "ink"}, "only the video renderer")],
)  # fmt: skip
def test_settings_that_contradict_each_other(settings, message):
    with pytest.raises(ValueError, match=message):
        VideoSettings(**settings)


def test_a_model_is_shipped_and_drawn_only_where_it_is_asked_for():
    """Of 96 pixels: `auto` prefers the avatar, whose hands are easier to read."""
    assert VideoSettings("diffusion").model == VideoSettings("diffusion", style="ink").model == SHIPPED
    assert VideoSettings().model is None
    look = AvatarConfig("mira", 96, 96)
    renderer = choose_drawing(VideoSettings("diffusion", device="cpu"), live=True).first(look)
    assert isinstance(renderer, VideoRenderer)
    assert not isinstance(choose_drawing(VideoSettings(), live=True).first(look), VideoRenderer)


def test_a_wrong_model_or_style_is_told_before_anybody_is_on_air(folder, tmp_path, capsys):
    for wrong, message in (
        (["--renderer-model", str(tmp_path)], "expected a folder with"),
        (["--renderer-model", str(folder), "--style", "oil"], "does not know 'oil'"),
    ):
        assert main(["serve", "--port", "0", "--renderer", "diffusion", *wrong]) == 1
        assert message in capsys.readouterr().err


def test_kiosks_and_far_signers_are_drawn_by_whom_they_ask_for(folder):
    """`kiosk` and `render` take --renderer as `serve` does; what `render` passes on bears the label too."""
    asked = ["--renderer", "diffusion", "--renderer-model", str(folder), "--renderer-device", "cpu"]
    for command, more in (
        (kiosk_command, ["--broker", "mqtt://localhost", "--kiosk", "lobby"]),
        (render_command, ["--from", "http://localhost:1/whep/main"]),
    ):
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        config = command.configuration(parser.parse_args([*more, *asked, "--size", "96x96"]))
        assert config.video == VideoSettings("diffusion", folder, device="cpu")
        plain = command.configuration(parser.parse_args([*more, "--renderer", "avatar"]))
        assert plain.video == VideoSettings("avatar")
    source = RemoteSource(config, "http://localhost:1/whep/main", labelled=True)
    cast, settings = source.cast(), SignerSettings("main", avatar="mira")
    assert cast.preferred is VIDEO
    drawn = []
    with contextlib.ExitStack() as stack:
        for one in (cast.renderer(settings), cast.fallback(settings), VideoRenderer(video_of(folder))):
            one.open()
            stack.callback(one.close)
            drawn.append(one.render(frame()).i420)
    assert not np.array_equal(drawn[0], drawn[2])
    assert np.array_equal(drawn[0], label_i420(drawn[2])), "the video renderer's own, labelled"
    assert not np.array_equal(drawn[0], drawn[1])
    assert np.array_equal(label_i420(drawn[1]), drawn[1]), "the avatar's bears it too"


def test_what_looks_like_a_video_of_a_person_says_what_it_is_wherever_it_is_seen(folder):
    config = Config(width=96, height=96, video=VideoSettings("diffusion", folder, device="cpu"))
    cast, settings = default_cast(config), SignerSettings("main", avatar="mira")
    with contextlib.ExitStack() as stack:
        stack.callback(cast.close)
        for one in (cast.renderer(settings), cast.fallback(settings)):
            one.open()
            stack.callback(one.close)
            picture = one.render(frame()).i420
            assert np.array_equal(label_i420(picture), picture)


def video_of(folder):
    return VideoConfig(folder, "mira", None, 96, 96, device="cpu")


def test_a_file_is_finished_by_the_avatar_where_the_video_renderer_cannot(folder, tmp_path):
    """No device at all; and a look that it does not draw."""
    look = AvatarConfig("mira", 64, 64)
    video = VideoSettings("diffusion", folder, device="cuda:99")
    renderer = file_renderer(choose_drawing(video, live=False), look)
    avatar = choose_drawing(VideoSettings(), live=False).first(look)
    with contextlib.ExitStack() as stack:
        for one in (renderer, avatar):
            one.open()
            stack.callback(one.close)
        assert np.array_equal(renderer.render(frame()).i420, avatar.render(frame()).i420)
    streamed = VideoSettings("diffusion", folder, device="cpu", steps=4, mode="stream")
    assert choose_drawing(streamed, live=True).first(look).config.mode == "stream"
    assert choose_drawing(streamed, live=False).first(look).config.mode == "direct", "no picture is left over"
    transparent = AvatarConfig("mira", 64, 64, "transparent")
    drawing = choose_drawing(VideoSettings("diffusion", folder, device="cpu"), live=True)
    assert isinstance(drawing.first(transparent), SharedRenderer)
    assert isinstance(drawing.first(look), VideoRenderer)


def test_say_writes_a_video_drawn_by_the_model(folder, tmp_path):
    out = tmp_path / "hi.mp4"
    size = ["--size", "64x64", "--quiet", "--renderer-device", "cpu"]
    assert main(["say", "A", "--renderer", "diffusion", "--renderer-model", str(folder), "--style", "ink",
                 "--out", str(out), *size]) == 0  # fmt: skip
    assert out.stat().st_size > 1000
