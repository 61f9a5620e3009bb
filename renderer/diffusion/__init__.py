"""The video renderer: motion in, pictures of a chosen signer out, by a few steps of diffusion.

Importing this imports no torch; `renderer.diffusion.renderer` does.
"""

from renderer.diffusion.config import BACKENDS, MODES, SHIPPED, STYLES, VideoConfig

__all__ = ["BACKENDS", "MODES", "SHIPPED", "STYLES", "VideoConfig"]
