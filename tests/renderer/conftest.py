"""One open renderer per signer and background for the whole folder: opening costs more than drawing."""

import pytest

from renderer.avatar import AvatarConfig, AvatarRenderer


@pytest.fixture(scope="module")
def renderers():
    """renderers(signer=..., background=...) -> an open AvatarRenderer, closed with the module."""
    made = {}

    def get(**settings):
        key = tuple(sorted(settings.items()))
        if key not in made:
            made[key] = AvatarRenderer(AvatarConfig(**settings))
            made[key].open()
        return made[key]

    yield get
    for renderer in made.values():
        renderer.close()
