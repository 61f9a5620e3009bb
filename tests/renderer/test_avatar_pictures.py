"""What is drawn: equivalences between motion and picture, for real GL without a display."""

import numpy as np
import pytest
from av.video.frame import VideoFrame

from engine.body import load_body
from engine.skeleton import JOINT, mirror_expression, mirror_smplx
from renderer.avatar import SIGNERS, AvatarConfig
from renderer.avatar.framing import to_pixels
from renderer.avatar.scene import GREEN
from tests.renderer.frames import frame, pose

HELLO = {"right_shoulder": (0.1, 0.5, 0.6), "right_elbow": (0, 2.0, 0.5), "head": (0.05, 0.2, 0.1)}


def face_box(renderer):
    """The face's rows and columns in the picture."""
    body = load_body()
    rotation, position = body.fk(pose())
    nose = body.points(rotation, position)[0]
    x, y = to_pixels(nose, renderer.config.width, renderer.config.height)
    return slice(int(y) - 45, int(y) + 45), slice(int(x) - 40, int(x) + 40)


def as_rgb(picture):
    yuv = VideoFrame.from_ndarray(picture.i420, format="yuv420p")
    return yuv.reformat(format="rgb24").to_ndarray()


def test_mirrored_motion_gives_the_mirrored_silhouette(renderers):
    renderer = renderers(background="transparent")
    motion = frame(pose(**HELLO), mouthSmileLeft=0.5)
    other = frame(mirror_smplx(motion.smplx), mouthSmileLeft=0)
    other = load_body().frame(other.smplx, mirror_expression(motion.expression), seq=0, pts_ns=0, gloss=3)
    one, two = renderer.rgba(motion)[..., 3], renderer.rgba(other)[:, ::-1, 3]
    differing = np.mean(np.abs(one.astype(int) - two) > 128)
    assert differing < 0.01, f"{differing:.2%} of the pixels differ after mirroring"
    assert np.mean(np.abs(one.astype(int) - two[:, ::-1]) > 128) > 0.02, (
        "the pose was symmetric: nothing was tested"
    )


@pytest.mark.parametrize(
    ("units", "rows"),
    [
        ({"jawOpen": 0.8}, (0.5, 1.0)),
        ({"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8}, (0.45, 1.0)),
        ({"mouthPucker": 0.9}, (0.5, 1.0)),
        ({"cheekPuff": 1.0}, (0.4, 1.0)),
        ({"browInnerUp": 1.0, "browOuterUpLeft": 1.0, "browOuterUpRight": 1.0}, (0.0, 0.5)),
        ({"browDownLeft": 1.0, "browDownRight": 1.0}, (0.0, 0.5)),
        ({"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}, (0.0, 0.5)),
    ],
)
def test_a_face_unit_changes_its_region_of_the_face(renderers, units, rows):
    renderer = renderers()
    box = face_box(renderer)
    still = renderer.rgba(frame())[..., :3].astype(int)
    moved = renderer.rgba(frame(**units))[..., :3].astype(int)
    change = np.abs(moved - still).max(-1)
    face = change[box]
    height = len(face)
    region = face[int(rows[0] * height) : int(rows[1] * height)]
    assert (region > 25).sum() > 30, f"{units} is hardly visible: {(region > 25).sum()} pixels"
    assert (region > 25).sum() > 0.6 * (change > 25).sum(), f"{units} changed other regions"


def test_the_jaw_joint_opens_the_mouth_as_jaw_open_does(renderers):
    renderer = renderers()
    by_joint = renderer.rgba(frame(pose(jaw=(0.3, 0, 0)))).astype(int)
    by_unit = renderer.rgba(frame(jawOpen=0.8)).astype(int)
    assert np.abs(by_joint - by_unit).max() <= 2


def test_eyes_follow_the_eye_joints_and_fall_back_to_the_look_units(renderers):
    renderer = renderers()
    box = face_box(renderer)
    ahead = renderer.rgba(frame())[box].astype(int)
    left = renderer.rgba(frame(pose(left_eye=(0, 0.4, 0), right_eye=(0, 0.4, 0))))[box].astype(int)
    units = renderer.rgba(frame(eyeLookOutLeft=0.9, eyeLookInRight=0.9))[box].astype(int)
    assert (np.abs(left - ahead).max(-1) > 30).sum() > 8
    assert (np.abs(units - ahead).max(-1) > 30).sum() > 8


def test_a_green_background_is_one_exact_colour_and_hardly_spills(renderers):
    picture = renderers(background="green").render(frame())
    y, u, v = (plane[:8].ravel() for plane in planes(picture))
    assert len(set(y)) == len(set(u)) == len(set(v)) == 1
    assert np.abs(as_rgb(picture)[4, 4].astype(int) - GREEN).max() <= 3
    alpha = renderers(background="transparent").rgba(frame())[..., 3]
    green = renderers(background="green").rgba(frame())
    clear = alpha == 0
    assert (green[clear][:, :3] == GREEN).all()


def planes(picture):
    h, w = picture.height, picture.width
    chroma = picture.i420[h:].reshape(2, h // 2, w // 2)
    return picture.i420[:h], chroma[0], chroma[1]


def test_transparency_is_clear_outside_and_solid_inside(renderers):
    renderer = renderers(background="transparent")
    picture = renderer.render(frame())
    assert picture.alpha is not None
    assert picture.alpha.shape == (512, 512)
    assert picture.alpha[:10, :10].max() == 0
    assert picture.alpha[400:420, 250:262].min() == 255
    still = renderer.rgba(frame())
    assert np.abs(still[..., 3].astype(int) - picture.alpha).max() <= 2
    edge = (still[..., 3] > 60) & (still[..., 3] < 200)
    assert edge.sum() > 300, "edges are not smoothed"
    solid = renderers().rgba(frame())
    assert (solid[..., 3] == 255).all()
    assert renderers().render(frame()).alpha is None


def test_straight_alpha_over_the_same_background_is_the_opaque_picture(renderers):
    still = renderers(background="transparent").rgba(frame()).astype(float)
    green = renderers(background="green").rgba(frame())[..., :3].astype(float)
    share = still[..., 3:] / 255
    over = still[..., :3] * share + np.array(GREEN) * (1 - share)
    assert np.abs(over - green).max() <= 4


def test_i420_and_rgba_show_the_same_picture(renderers):
    renderer = renderers()
    rgb, still = as_rgb(renderer.render(frame())).astype(int), renderer.rgba(frame())[..., :3].astype(int)
    assert np.abs(rgb - still).mean() < 2.5


def test_a_picture_does_not_change_after_it_was_handed_over(renderers):
    renderer = renderers()
    first = renderer.render(frame())
    kept = first.i420.copy()
    renderer.render(frame(pose(**HELLO), seq=1))
    assert (first.i420 == kept).all()
    assert (first.seq, first.pts_ns, first.gloss) == (0, 0, 3)


def test_drawing_again_gives_the_same_bytes(renderers):
    renderer = renderers()
    first = renderer.render(frame(jawOpen=0.5)).i420
    renderer.render(frame(pose(**HELLO)))
    assert (renderer.render(frame(jawOpen=0.5)).i420 == first).all()


@pytest.mark.parametrize("signer", SIGNERS)
def test_every_signers_hands_contrast_with_the_shirt(renderers, signer):
    renderer = renderers(signer=signer)
    motion = frame(pose(right_shoulder=(0, 0.4, 1.1), right_elbow=(0, 1.9, 0)))
    body = load_body()
    _, position = body.fk(motion.smplx)
    picture = renderer.rgba(motion)[..., :3]

    def light(point):
        x, y = to_pixels(point, 512, 512).astype(int)
        patch = picture[y - 3 : y + 4, x - 3 : x + 4].reshape(-1, 3).mean(0) / 255
        return float(patch**2.2 @ [0.2126, 0.7152, 0.0722])

    hand, shirt = light((position[21] + position[43]) / 2), light(position[6])
    contrast = (max(hand, shirt) + 0.05) / (min(hand, shirt) + 0.05)
    assert contrast > 1.9, f"{signer}: hand {hand:.3f} and shirt {shirt:.3f} differ by {contrast:.2f} only"


@pytest.mark.parametrize(
    "size", [(16, 16), (320, 240), (240, 426), (640, 360), (722, 404), (1080, 1920), (1920, 1080)]
)
def test_any_even_size_shows_the_signing_space(renderers, size):
    width, height = size
    renderer = renderers(width=width, height=height, background="transparent")
    picture = renderer.render(frame())
    assert picture.i420.shape == (height * 3 // 2, width)
    assert picture.alpha.shape == (height, width)
    reach = np.array([[-0.46, -0.1, 0.1], [0.46, -0.1, 0.1], [0, 0.40, 0.1], [0, -0.42, 0.05]], np.float32)
    pixels = to_pixels(reach, width, height)
    assert (pixels >= 0).all()
    assert (pixels <= [width, height]).all()
    x, y = to_pixels(np.array([0, 0, 0.1], np.float32), width, height).astype(int)
    assert picture.alpha[y, x] == 255, "the signer's chest is not where the framing says"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"signer": "nobody"}, "choose one of"),
        ({"width": 513}, "try 512"),
        ({"height": 2000}, "1920"),
        ({"width": 1920, "height": 1920}, "1920x1080"),
        ({"background": "blue"}, "transparent"),
        ({"supersample": 3.0}, "1..2"),
        ({"colour": (0, 0, 300)}, "0..255"),
    ],
)
def test_settings_that_cannot_be_drawn_are_explained(change, says):
    with pytest.raises(ValueError, match=says):
        AvatarConfig(**change)


@pytest.mark.parametrize("raised", [0.2, 0.6])
def test_no_skin_comes_through_the_shirt_when_arms_are_raised(renderers, raised):
    """Between chin and hands, all skin is inside the collar: one run of pixels in each row."""
    renderer = renderers(signer="kofi")  # dark skin under a light shirt
    arms = {}
    for side, sign in (("left", 1), ("right", -1)):
        arms[f"{side}_shoulder"] = (0, -0.4 * sign, raised * sign)
        arms[f"{side}_elbow"] = (0, -2.0 * sign, 0)
    picture = renderer.rgba(frame(pose(**arms)))[..., :3].astype(int)
    _, position = load_body().fk(pose(**arms))
    size = renderer.config.width, renderer.config.height
    right, left = (to_pixels(position[JOINT[f"{side}_shoulder"]], *size) for side in ("right", "left"))
    top = int(to_pixels(position[JOINT["neck"]], *size)[1])
    patch = picture[top : int(right[1]) - 8, int(right[0]) : int(left[0])]
    skin = patch[..., 0] > patch[..., 2] + 20
    assert skin.mean() > 0.1, "the neck is not in the patch: nothing was tested"
    starts = (np.diff(skin.astype(int), axis=1, prepend=0) == 1).sum(1)
    assert starts.max() <= 1, f"skin beside the collar in {(starts > 1).sum()} rows"
    across = np.flatnonzero(skin.any(0))
    assert np.ptp(across) < 0.61 * skin.shape[1], "the skin is wider than the collar"


def test_motion_without_numbers_shows_the_last_that_had_some(renderers):
    renderer = renderers()
    good = frame(pose(**HELLO))
    wanted = renderer.rgba(good)
    for broken in (frame(pose(**HELLO)), frame(pose(**HELLO))):
        broken.smplx.setflags(write=True)
        broken.smplx[JOINT["left_elbow"], 1] = np.nan
        assert np.array_equal(renderer.rgba(broken), wanted)
    assert not np.array_equal(renderer.rgba(frame()), wanted)
