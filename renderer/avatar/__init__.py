"""The avatar: motion in, pictures of a baked signer out.

Importing this opens no GL and imports none, so that a server can list its signers; `AvatarRenderer.open`
does.
"""

from renderer.avatar.config import SIGNERS, AvatarConfig, SignerInfo
from renderer.avatar.renderer import AvatarRenderer

__all__ = ["SIGNERS", "AvatarConfig", "AvatarRenderer", "SignerInfo"]
