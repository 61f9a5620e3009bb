"""The short form of `python -m tests.fuzz`: every reader, with inputs that are the same in every run."""

from tests.fuzz.engine import fuzz
from tests.fuzz.http import fuzz_http
from tests.fuzz.readers import readers


def test_no_reader_crashes_or_hangs():
    every = readers()
    report = fuzz(every, 4000, seed=20)
    assert report.crashes == []
    assert report.hangs == []
    assert set(report.inputs) == set(every)


async def test_no_request_crashes_the_server_or_stays_without_an_answer():
    report = await fuzz_http(400, seed=20)
    assert report.crashes == []
    assert report.hangs == []
    assert report.inputs == {"http": 400}
