"""Signers of one look share a renderer, and one that fails is shared no more."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from renderer.avatar import AvatarConfig, AvatarRenderer
from renderer.base import Renderer
from stream.shared_renderer import SharedRenderer
from tests.stream.stand_ins import BarRenderer, motion_frame


def counted(look: str, made: list[BarRenderer]) -> SharedRenderer:
    def make() -> Renderer:
        made.append(BarRenderer())
        return made[-1]

    return SharedRenderer(look, make)


def test_one_scene_for_each_look_and_thread() -> None:
    made: list[BarRenderer] = []
    same = [counted("a", made) for _ in range(5)]
    other = counted("b", made)
    for renderer in (*same, other):
        renderer.open()
        renderer.open()
    assert sum(r.opened_on != 0 for r in made) == 2
    pictures = [renderer.render(motion_frame(i, i)) for i, renderer in enumerate(same)]
    assert [picture.seq for picture in pictures] == list(range(5))
    thread = threading.Thread(target=counted("a", made).open)
    thread.start()
    thread.join()
    assert sum(r.opened_on != 0 for r in made) == 3, "a renderer lives on one thread"
    for renderer in (*same, other):
        renderer.close()
        renderer.close()
    with pytest.raises(RuntimeError, match="open"):
        other.render(motion_frame(0, 0))


def test_one_that_failed_is_shared_no_more() -> None:
    made: list[BarRenderer] = []
    first, second = counted("a", made), counted("a", made)
    first.open()
    second.open()
    made[0].fail_at = 1
    with pytest.raises(RuntimeError, match="context lost"):
        first.render(motion_frame(0, 0))
    again = counted("a", made)
    again.open()  # healing: the new one is opened before the old one is closed
    first.close()
    assert again.render(motion_frame(1, 1)).seq == 1
    made[0].fail_at = 2
    with pytest.raises(RuntimeError, match="context lost"):
        second.render(motion_frame(2, 2))
    follower = counted("a", made)
    follower.open()
    second.close()
    assert follower.render(motion_frame(3, 3)).seq == 3
    assert sum(r.opened_on != 0 for r in made) == 2
    follower.close()
    again.close()


def test_taking_turns_changes_no_pixel() -> None:
    def make() -> AvatarRenderer:
        return AvatarRenderer(AvatarConfig(width=128, height=128))

    frames = [motion_frame(i, i) for i in range(4)]
    alone = []
    for frame in frames:
        renderer = make()
        renderer.open()
        alone.append(renderer.render(frame).i420)
        renderer.close()
    shared = [SharedRenderer("look", make) for _ in range(2)]
    for one in shared:
        one.open()
    turns = [shared[i % 2].render(frame).i420 for i, frame in enumerate(frames)]
    for one in shared:
        one.close()
    for a, b in zip(alone, turns, strict=True):
        np.testing.assert_array_equal(a, b)
