"""Contact sheets."""

import numpy as np
import pytest

from renderer.avatar.sheet import contact_sheet


def picture(value):
    return np.full((40, 60, 4), (value, 0, 0, 255), np.uint8)


def test_every_picture_is_on_the_sheet_in_reading_order():
    sheet = np.asarray(contact_sheet([(str(i), picture(50 + i)) for i in range(5)], columns=3))
    reds = [int(sheet[28 + row * 74, 38 + column * 68, 0]) for row in range(2) for column in range(3)]
    assert reds[:5] == [50, 51, 52, 53, 54]
    assert reds[5] == 250, "paper where no picture is left"


@pytest.mark.parametrize(
    "bad", [[], [("a", picture(1)), ("b", picture(1)[:20])], [("a", np.zeros((4, 4), np.uint8))]]
)
def test_what_cannot_be_shown_is_explained(bad):
    with pytest.raises(ValueError, match="contact_sheet: got"):
        contact_sheet(bad)
