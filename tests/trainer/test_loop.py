"""The training loop: killed, starved of disk, or many at once, it learns what one quiet process learns."""

from __future__ import annotations

import csv
import dataclasses
import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from engine.checkpoint import open_checkpoint
from tests.trainer.toy_loop import CONFIG, STEPS, Toy, slow_config, slow_task
from trainer.loop import Loop, LoopConfig

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 240.0


def child(*arguments: str | Path, launcher: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.Popen(
        [sys.executable, *launcher, "-m", "tests.trainer.toy_loop", *map(str, arguments)],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """The averaged weights of a run's saved state."""
    return {n: t for n, t in open_checkpoint(folder / "state")[0].items() if n.startswith("averaged.")}


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """What the slow task learns when nothing happens to it."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("undisturbed")
    loop = Loop(slow_task(), dataclasses.replace(slow_config(), save_every_s=1e9), folder)
    loop.run()
    assert loop.step == STEPS
    return weights(folder)


def finished(folder: Path) -> dict[str, torch.Tensor]:
    """Go on with what `folder` holds, to the end."""
    Loop(slow_task(), slow_config(), folder).run()
    return weights(folder)


def test_killed_while_saving_it_goes_on_bit_for_bit(
    tmp_path: Path, undisturbed: dict[str, torch.Tensor]
) -> None:
    rng = random.Random(0)
    state = tmp_path / "state" / "config.json"
    steps = []
    for _ in range(3):
        process = child("train", tmp_path)
        deadline = time.monotonic() + PATIENCE_S
        before = state.stat().st_mtime_ns if state.exists() else 0
        while True:  # until it has saved once more
            ended = process.poll() is not None  # asked first: it may save and end between two looks
            if state.exists() and state.stat().st_mtime_ns != before:
                break
            assert not ended, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        tensors, config = open_checkpoint(tmp_path / "state")  # whole, whenever the blow fell
        steps.append(config["position"]["step"])
        assert tensors
    assert steps == sorted(steps)
    assert steps[0] > 0
    assert same(finished(tmp_path), undisturbed)
    assert not list((tmp_path / "state").glob(".*.tmp"))  # what a killed process left is cleared away


def test_a_full_disk_stops_the_run_with_what_was_saved_whole(
    tmp_path: Path, undisturbed: dict[str, torch.Tensor]
) -> None:
    Loop(slow_task(), slow_config(), tmp_path).run(until_step=5)
    before = {path.name: path.read_bytes() for path in (tmp_path / "state").iterdir()}
    process = child("train", tmp_path, "100000")  # no file may grow beyond that: the weights do not fit
    told = process.communicate(timeout=PATIENCE_S)[0]
    assert process.returncode == 1
    assert "training goes on" in told  # a save on the way that fails is not the end
    assert f"step {STEPS}: the training state cannot be saved" in told
    assert "make room" in told
    assert {path.name: path.read_bytes() for path in (tmp_path / "state").iterdir()} == before
    assert same(finished(tmp_path), undisturbed)


def test_a_log_that_cannot_be_written_is_no_reason_to_stop(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "log.csv").mkdir(parents=True)
    loop = Loop(Toy(), CONFIG, tmp_path)
    with caplog.at_level(logging.WARNING, "trainer.loop"):
        loop.run()
    assert loop.step == 12
    assert "cannot write the log" in caplog.text


def test_two_processes_descend_the_gradient_of_one(tmp_path: Path) -> None:
    launcher = ("-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1", "--nproc-per-node=2")
    process = child("team", tmp_path, launcher=launcher)
    told = process.communicate(timeout=PATIENCE_S)[0]
    assert process.returncode == 0, told
    assert "rank 0 of 2: 8 steps" in told  # seven batches for two: four steps an epoch
    assert "rank 1 of 2: 8 steps" in told
    found = torch.load(tmp_path / "found.pt", weights_only=True)
    alone = Loop(Toy(), CONFIG, tmp_path / "alone")
    figures = alone.run()
    for name, weight in alone.averaged.state_dict().items():
        assert torch.allclose(weight, found["halves"][name], atol=1e-6), name
    assert found["figures"]["loss"] == pytest.approx(figures["loss"], rel=1e-4)
    assert same(found["whole"], found["parts"])  # resumed by both, each with its own random numbers
    rows = list(csv.DictReader((tmp_path / "halves" / "log.csv").open()))
    assert [row["step"] for row in rows] == ["6", "12"]


def test_the_log_tells_the_rate_and_tensorboard_has_it_too(tmp_path: Path) -> None:
    Loop(Toy(), dataclasses.replace(CONFIG, epochs=3), tmp_path).run()
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    config = dataclasses.replace(CONFIG, epochs=3)
    expected = [config.rate(6 * (e + 1) - 1, (e + 5 / 6) / 3) for e in range(3)]
    assert [float(row["rate"]) for row in rows] == pytest.approx(expected)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [e.step for e in events.Scalars("loss")] == [6, 12, 18]
    assert [e.value for e in events.Scalars("loss")] == pytest.approx([float(row["loss"]) for row in rows])


def test_a_state_from_before_a_setting_existed_is_resumed(tmp_path: Path) -> None:
    Loop(Toy(), CONFIG, tmp_path).run(until_step=3)
    path = tmp_path / "state" / "config.json"
    state = json.loads(path.read_text())
    del state["loop"]["precision"]
    path.write_text(json.dumps(state))
    loop = Loop(Toy(), CONFIG, tmp_path)
    loop.run()
    assert loop.step == 12


def test_half_precision_is_left_to_what_has_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    halved = dataclasses.replace(CONFIG, precision="bfloat16")
    monkeypatch.setattr("trainer.loop.cpu_has_bfloat16", lambda: True)
    assert Loop(Toy(), halved, tmp_path / "bfloat16").half
    monkeypatch.setattr("trainer.loop.cpu_has_bfloat16", lambda: False)
    with caplog.at_level(logging.INFO, "trainer.loop"):
        half = Loop(Toy(), halved, tmp_path / "half")
    assert "no instructions for it" in caplog.text
    half.run()
    full = Loop(Toy(), CONFIG, tmp_path / "full")
    full.run()
    assert same(half.averaged.state_dict(), full.averaged.state_dict())
    with pytest.raises(ValueError, match="expected float32 or bfloat16"):
        LoopConfig(precision="float16")
