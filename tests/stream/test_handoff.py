"""Hand-offs: ordered ones lose nothing and wait, latest-wins ones keep the newest and count the rest."""

import asyncio
import threading
import time

import numpy as np
import pytest

from stream.encoder import EncodedFrame
from stream.frame_queue import FrameQueue
from stream.handoff import Latest, Ordered
from stream.shot import Shot


def frame(seq: int, keyframe: bool = False) -> EncodedFrame:
    shot = Shot(np.zeros((6, 4), np.uint8), seq, seq * 40_000_000, -1, 0, 0.0)
    return EncodedFrame(shot, (b"x",), keyframe, 1.0)


async def test_ordered_delivers_everything_in_order_and_waits_when_full():
    got: list[int] = []
    ordered = Ordered(asyncio.get_running_loop(), got.append, size=4)
    thread = threading.Thread(target=lambda: [ordered.put(i) for i in range(100)])
    thread.start()
    time.sleep(0.05)  # noqa: ASYNC251 - the loop is busy: the thread must stand at the fourth item
    assert thread.is_alive()
    async with asyncio.timeout(60):
        while len(got) < 100:  # noqa: ASYNC110
            await asyncio.sleep(0)
    thread.join(1)
    assert got == list(range(100))


async def test_closing_lets_a_waiting_thread_go():
    ordered = Ordered(asyncio.get_running_loop(), lambda _: None, size=1)
    taken: list[bool] = []
    thread = threading.Thread(target=lambda: taken.extend(ordered.put(i) for i in range(3)))
    thread.start()
    time.sleep(0.02)  # noqa: ASYNC251
    ordered.close()
    thread.join(1)
    assert not thread.is_alive()
    assert taken[-1] is False


def test_latest_keeps_the_newest_of_each_key_and_counts_the_rest():
    latest: Latest[str, int] = Latest()
    for i in range(5):
        latest.put("a", i)
    latest.put("b", 9)
    assert latest.take() == [("a", 4), ("b", 9)]
    assert latest.dropped == 4
    assert latest.take(timeout_s=0) == []
    latest.close()
    assert latest.take() is None
    assert latest.put("a", 1) is False


async def test_a_peer_begins_with_a_keyframe():
    queue = FrameQueue(lambda: None, size=4)
    for i, key in enumerate([False, False, True, False]):
        queue.put(frame(i, key))
    assert [(await queue.get()).shot.seq for _ in range(2)] == [2, 3]
    assert queue.dropped == 0, "what came before the beginning was not lost"


async def test_an_overflow_drops_to_the_next_keyframe_asks_for_it_and_counts():
    asked: list[int] = []
    queue = FrameQueue(lambda: asked.append(1), size=3)
    for i in range(3):
        queue.put(frame(i, i == 0))
    queue.put(frame(3))
    queue.put(frame(4))
    assert (len(queue), queue.dropped, len(asked)) == (0, 5, 1)
    queue.put(frame(5, keyframe=True))
    queue.put(frame(6))
    assert [(await queue.get()).shot.seq for _ in range(2)] == [5, 6]


async def test_get_waits_for_a_frame_and_may_be_cancelled():
    queue = FrameQueue(lambda: None)
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.put(frame(1, keyframe=True))
    assert (await waiting).shot.seq == 1
