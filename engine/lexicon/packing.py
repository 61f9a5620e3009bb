"""Making the pack of the default alphabets: `python -m engine.lexicon.packing [--processes 2]`.

Enters: the alphabets of the installed `spoken-to-signed`. Leaves: `assets/alphabets.motion`.
Run it again whenever `engine.retarget.METHOD`, the body, or that package changes; a test says when it is
due. It goes on where it was interrupted (finished clips wait in the cache folder, and count only for the very
code that made them), and gives the same file every time.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import shutil
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

import engine.retarget
from engine.lexicon.cache import DiskCache, cache_folder
from engine.lexicon.codec import squeeze
from engine.lexicon.index import Entry
from engine.lexicon.lexicon import ALPHABETS, default_folder
from engine.lexicon.motions import MotionStore, content_key
from engine.lexicon.pack import ASSET, Pack
from engine.lexicon.shelf import Shelf, open_shelf

Work = tuple[str, list[Entry], tuple[Path, ...]]


def packable(shelf: Shelf) -> dict[str, Entry]:
    """Content key -> one entry with it (languages may share recordings)."""
    return {content_key(entry, shelf.source_of(entry)): entry for entry in shelf.entries.values()}


def missing() -> int:
    """How many of the default letters the shipped pack lacks: 0, unless it is out of date."""
    return len(set(packable(open_shelf(default_folder(), ALPHABETS))) - Pack().keys())


def scratch() -> Path:
    """Where finished clips wait for the rest: named after the code of `engine.retarget`, METHOD or not."""
    code = hashlib.sha256()
    for module in sorted(Path(engine.retarget.__file__).parent.glob("**/*.py")):
        code.update(module.read_bytes())
    return cache_folder() / "packing" / code.hexdigest()[:16]


def _motions(work: Work) -> list[tuple[str, bytes]]:
    """One source in one process, so that it is measured once. Results pass through the disk cache."""
    folder, entries, source = work
    store = MotionStore(disk=DiskCache(Path(folder)) if folder else None)
    try:
        return [(content_key(entry, source), squeeze(store.motion(entry, source))) for entry in entries]
    finally:
        store.close()


def _single_threaded() -> None:
    os.nice(10)
    import torch

    torch.set_num_threads(1)


def build(
    shelf: Shelf, path: Path = ASSET, *, processes: int = 2, cache: Path | None = None,
    progress: Callable[[int], object] = lambda clips: None,
) -> int:  # fmt: skip
    """Retarget every clip of a shelf and write the pack, whole or not at all. Returns the number of
    motions.
    """
    by_source: dict[Path, list[Entry]] = {}
    for entry in packable(shelf).values():
        by_source.setdefault(entry.path.parent, []).append(entry)
    work: list[Work] = [
        (str(cache or ""), entries, shelf.source_of(entries[0])) for entries in by_source.values()
    ]
    packed: dict[str, bytes] = {}
    with multiprocessing.get_context("spawn").Pool(processes, initializer=_single_threaded) as pool:
        for motions in pool.imap_unordered(_motions, work):
            packed.update(motions)
            progress(len(motions))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as pack:  # the members are compressed
        for key in sorted(packed):
            pack.writestr(zipfile.ZipInfo(key), packed[key])
    os.replace(temporary, path)
    return len(packed)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m engine.lexicon.packing", description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=ASSET)
    args = parser.parse_args()
    started = time.monotonic()
    shelf = open_shelf(default_folder(), ALPHABETS)
    with tqdm(total=len(packable(shelf)), desc="packing", unit="clip") as bar:
        cache = scratch()
        count = build(shelf, args.out, processes=args.processes, cache=cache, progress=bar.update)
        shutil.rmtree(cache.parent, ignore_errors=True)
    size_mb = args.out.stat().st_size / 2**20
    print(f"{args.out.name}: {count} motions, {size_mb:.2f} MB, {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
