"""Opening, closing, sharing and failing: what a renderer owns it gives back."""

import ctypes
import subprocess
import sys
import threading

import moderngl
import numpy as np
import psutil
import pytest

from renderer.avatar import AvatarConfig, AvatarRenderer, context
from renderer.base import DeviceLost
from tests.renderer.frames import frame

SMALL = AvatarConfig(width=64, height=64)


def test_importing_the_avatar_opens_and_imports_no_gl():
    code = (
        "import sys, renderer.avatar as a; assert len(a.SIGNERS) >= 4; assert 'moderngl' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_drawing_before_opening_says_so():
    with pytest.raises(RuntimeError, match=r"call open\(\)"):
        AvatarRenderer(SMALL).render(frame())


def test_no_gl_names_the_packages(monkeypatch):
    def broken(**_):
        raise Exception("libGL.so.1: cannot open shared object file")

    monkeypatch.setattr(moderngl, "create_context", broken)
    with pytest.raises(RuntimeError, match=r"libegl1 libegl-mesa0 libgl1-mesa-dri libgl1"):
        AvatarRenderer(SMALL).open()


def test_closing_and_opening_again_draws_the_same_and_leaks_nothing():
    renderer = AvatarRenderer(SMALL)
    renderer.open()
    first = renderer.render(frame()).i420
    process = psutil.Process()
    sizes = []
    for _ in range(30):
        renderer.close()
        renderer.open()
        assert (renderer.render(frame()).i420 == first).all()
        sizes.append(process.memory_info().rss / 2**20)
    renderer.close()
    renderer.close()
    grown = np.mean(sizes[-5:]) - np.mean(sizes[5:10])
    assert grown < 20, f"20 times closed and opened cost {grown:.1f} MB"


def test_a_thread_that_has_drawn_leaves_nothing_behind_when_it_ends():
    """A context that is still current somewhere is never destroyed, whoever released it: 16 MB a thread."""
    mesh = AvatarRenderer(SMALL)._mesh
    sizes = []

    def draw():
        renderer = AvatarRenderer(SMALL, mesh)
        renderer.open()
        renderer.render(frame())
        renderer.close()

    for _ in range(10):
        thread = threading.Thread(target=draw)
        thread.start()
        thread.join()
        sizes.append(psutil.Process().memory_info().rss / 2**20)
    grown = np.mean(sizes[-3:]) - np.mean(sizes[1:4])
    assert grown < 40, f"six threads later {grown:.1f} MB more are in use"


def test_renderers_of_one_thread_share_a_context_until_the_last_closes():
    one, two = AvatarRenderer(SMALL), AvatarRenderer(AvatarConfig(signer="kofi", width=96, height=64))
    one.open()
    two.open()
    alone = two.render(frame()).i420
    one.render(frame(jawOpen=1))
    assert (two.render(frame()).i420 == alone).all(), "one signer's drawing changed the other's"
    device = context.acquire()
    assert device.users == 3
    context.release(device)
    one.close()
    assert (two.render(frame()).i420 == alone).all()
    two.close()


def lose_the_context() -> None:
    """Take this thread's GL context away behind the renderers' back, as a driver reset does."""
    egl = ctypes.CDLL("libEGL.so.1")
    egl.eglGetCurrentDisplay.restype = ctypes.c_void_p
    egl.eglMakeCurrent.argtypes = [ctypes.c_void_p] * 4
    assert egl.eglMakeCurrent(egl.eglGetCurrentDisplay(), None, None, None)


def test_a_lost_context_is_told_and_a_new_one_draws_the_same():
    """Every renderer that shared the context hears of it; whoever opens again draws what it drew before."""
    one, two = AvatarRenderer(SMALL), AvatarRenderer(AvatarConfig(signer="kofi", width=96, height=64))
    one.open()
    two.open()
    before = [one.render(frame()).i420, two.render(frame()).i420]
    lose_the_context()
    with pytest.raises(DeviceLost, match="open it again"):
        one.render(frame())
    one.close()
    one.open()  # while the other still holds on to the lost one
    assert (one.render(frame()).i420 == before[0]).all()
    with pytest.raises(DeviceLost):
        two.render(frame())
    two.close()
    two.open()
    assert (two.render(frame()).i420 == before[1]).all()
    assert (one.render(frame()).i420 == before[0]).all(), "closing the lost one harmed the new one"
    for renderer in (one, two):
        renderer.close()
