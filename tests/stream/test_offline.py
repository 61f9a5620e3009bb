"""Text to a whole performance and to a file, without a command line around it."""

from __future__ import annotations

import argparse
from pathlib import Path

import av
import pytest

from renderer.avatar import AvatarConfig, AvatarRenderer
from stream import exports, say_command
from stream.offline import Manner, perform
from tests.engine.signing import HandMadeLexicon, PlainWords


def test_a_line_of_any_length_is_signed() -> None:
    """Longer than one caption may be; a word across two of its pieces is one word."""
    line = "A" + " " * 196 + "HELLO" + " " * 4500 + "B"
    performance = perform([line], HandMadeLexicon(), PlainWords(), Manner())  # type: ignore[arg-type]
    assert [gloss.label for gloss in performance.glosses] == list("AHELLOB")
    assert [gloss.caption_seq for gloss in performance.glosses] == [0] * 7
    assert performance.glosses[1].start == 197
    assert [i for i in range(7) if i not in performance.gloss_index] == []


def test_a_video_lasts_as_long_as_its_motion(tmp_path: Path) -> None:
    """Also at a rate that is no whole number."""
    manner = Manner(fps=10.5)
    performance = perform(["ABCDEF"], HandMadeLexicon(), PlainWords(), manner)  # type: ignore[arg-type]
    out = tmp_path / "a.mp4"
    renderer = AvatarRenderer(AvatarConfig(width=128, height=128))
    exports.write_video(performance, renderer, out, lambda done, total: None)
    with av.open(str(out)) as container:
        assert container.duration is not None
        assert container.duration / av.time_base == pytest.approx(len(performance.motion) / 10.5, abs=0.05)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--out", "no/such/folder/x.npz"], "folder"),
        (["--out", "x.mp4", "--size", "333x200"], "even"),
        (["--out", "x.png", "--size", "big"], "WIDTHxHEIGHT"),
        (["--out", "x.mp4", "--background", "transparent"], ".webm"),
    ],
)
def test_what_cannot_be_written_is_said_before_anything_is_made(
    arguments: list[str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened() -> None:
        raise AssertionError("a lexicon was opened")

    monkeypatch.setattr(say_command.Lexicon, "default", opened)
    parser = argparse.ArgumentParser()
    say_command.add_arguments(parser)
    with pytest.raises(ValueError, match=expected):
        say_command.main(parser.parse_args(["a", *arguments]))
