import av
import numpy as np
import pytest

from stream.label import label_i420, label_rgba


@pytest.mark.parametrize("size", [(512, 512), (320, 240), (1920, 1080), (64, 64)])
def test_the_label_is_the_same_in_both_kinds_of_picture(size):
    width, height = size
    grey = np.full((height, width, 4), 128, np.uint8)
    grey[..., 3] = 255
    labelled = label_rgba(grey)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(grey[..., :3]), format="rgb24")
    yuv = label_i420(frame.reformat(format="yuv420p").to_ndarray())
    back = av.VideoFrame.from_ndarray(yuv, format="yuv420p").to_ndarray(format="rgb24")
    assert np.abs(back.astype(int) - labelled[..., :3]).mean() < 2
    changed = (labelled != grey).any(-1)
    assert 0.005 < changed.mean() < 0.35
    assert not changed[: height // 2].any()  # hands and face stay clear


def test_the_original_is_left_alone():
    picture = np.zeros((96, 64), np.uint8)
    label_i420(picture)
    assert picture.max() == 0
