"""The short form of `python -m tests.fuzz`: every reader, with inputs that are the same in every run."""

import pytest

from engine.lexicon import codec
from tests.fuzz.engine import fuzz
from tests.fuzz.http import fuzz_http
from tests.fuzz.readers import readers


def test_no_reader_crashes_or_hangs():
    every = readers()
    report = fuzz(every, 2000, seed=20)
    assert report.crashes == []
    assert report.hangs == []
    assert set(report.inputs) == set(every)


@pytest.mark.parametrize(
    ("sound", "broken"), [(b"'shape': (", b"('shape': "), (b"'descr'", b"'descr("), (b"False", b"Falsi")]
)
def test_a_cached_motion_with_a_broken_head_is_refused(sound, broken):
    """Found by fuzzing: numpy lets what Python's own parser says through."""
    seed = readers()["cache"].seeds[0]
    assert sound in seed
    with pytest.raises(ValueError, match="delete it"):
        codec.decode(seed.replace(sound, broken))


async def test_no_request_crashes_the_server_or_stays_without_an_answer():
    report = await fuzz_http(200, seed=20)
    assert report.crashes == []
    assert report.hangs == []
    assert report.inputs == {"http": 200}
