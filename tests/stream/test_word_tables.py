"""What the first caption needs is read before a server says that it is ready."""

from __future__ import annotations

import subprocess
import sys
import time

PROGRAM = """
import sys, time
from stream.cast import default_cast
from stream.config import Config

cast = default_cast(Config())
assert "wordfreq" not in sys.modules, "nothing heavy before a language is on air"
cast.warm("ase")
until_s = time.monotonic() + 240
while cast.warming():
    assert time.monotonic() < until_s
    time.sleep(0.05)

from engine import pacing_words
missed = pacing_words._number_words.cache_info().misses, pacing_words._frequencies.cache_info().misses
assert missed == (1, 1), missed
pacing_words.worth_of("weather", "en")
again = pacing_words._number_words.cache_info().misses, pacing_words._frequencies.cache_info().misses
assert again == missed, "the first caption reads nothing more"
cast.close()
cast.warm("gsg")  # too late, and harmless
assert not cast.warming()
"""


def test_the_words_of_a_language_are_read_before_it_is_ready():
    began_s = time.monotonic()
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{done.stderr[-2000:]} after {time.monotonic() - began_s:.0f} s"
