"""How fast training motion is composed, against the arithmetic it cannot do without.

    python -m benchmarks.compositions [language] [texts]

The limit: forward kinematics and projection of the same frames, all at once; what is above it is planning
signs frame by frame. Times are those of one core's work, so that what else the machine does counts little.
"""

from __future__ import annotations

import itertools
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from engine.body import load_body
from engine.lexicon import Lexicon
from trainer.data.compositions import Composer, CompositionConfig
from trainer.data.sequences import SequenceStore, SequenceWriter
from trainer.data.words import Texts


def main() -> None:
    language = sys.argv[1] if len(sys.argv) > 1 else "ase"
    texts = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    lexicon = Lexicon.default()
    composer = Composer(lexicon, CompositionConfig(language=language))
    chosen = list(itertools.islice(Texts(lexicon, language), texts))
    composer.spell(" ".join(lexicon.alphabet(language)), name="warm")  # every letter is prepared once

    times, sequences = [], []
    for i, text in enumerate(chosen):
        begun = time.process_time()
        sequences.append(composer.spell(text, name=f"{i}"))
        times.append(time.process_time() - begun)
    frames = sum(map(len, sequences))
    with tempfile.TemporaryDirectory() as folder:
        begun = time.process_time()
        with SequenceWriter(Path(folder)) as writer:
            for sequence in sequences:
                writer.write(sequence)
        write_s = time.process_time() - begun
        store = SequenceStore(folder)
        begun = time.process_time()
        assert sum(len(sequence) for sequence in store) == frames
        read_s = time.process_time() - begun
    begun = time.process_time()
    for sequence in sequences:
        load_body().motion(sequence.motion.smplx, sequence.motion.expression, 25.0)
    limit_s = time.process_time() - begun
    p50, p95, p99 = np.percentile(times, (50, 95, 99)) * 1000
    print(f"limit:    {frames / limit_s:8.0f} frames/s, forward kinematics and projection alone")
    print(f"composed: {frames / sum(times):8.0f} frames/s")
    print(f"a text:   p50 {p50:.1f}, p95 {p95:.1f}, p99 {p99:.1f} ms")
    print(f"written:  {frames / write_s:8.0f} frames/s; read: {frames / read_s:.0f} frames/s")
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    record = {
        "benchmark": "compositions",
        "language": language,
        "texts": texts,
        "frames": frames,
        "limit_fps": round(frames / limit_s),
        "composed_fps": round(frames / sum(times)),
        "written_fps": round(frames / write_s),
        "read_fps": round(frames / read_s),
        "text_ms": {"p50": round(p50, 1), "p95": round(p95, 1), "p99": round(p99, 1)},
        "device": platform.processor() or platform.machine(),
        "commit": commit.stdout.strip(),
    }
    print(json.dumps(record))


if __name__ == "__main__":
    main()
