"""Where a file comes from, said inside it: IPTC's digital source type in XMP, and a signed C2PA manifest.

Enters: a finished file (.png, .mp4, .mov, .webm). Leaves: the same with what it is told to say. Does not know
who made it. The words in the picture are for people; these are for programs.

XMP is written without anybody's leave. A C2PA manifest is only worth the certificate it is signed with, so it
is the user's own (the extra `c2pa`, the library of the Content Authenticity Initiative); nothing is fetched.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL.PngImagePlugin import PngInfo

SOURCES: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/"
ALGORITHM: Final = SOURCES + "algorithmicMedia"
"""Drawn by an algorithm that was not trained on pictures: the avatar."""
TRAINED: Final = SOURCES + "trainedAlgorithmicMedia"
"""Drawn, or moved, by a trained model."""
XMP_BOX: Final = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
"""ISO base media files hold XMP in a box of this identifier (XMP specification, part 3)."""
XMP_KEY: Final = "XML:com.adobe.xmp"
TAG: Final = "DIGITAL_SOURCE_TYPE"
"""Matroska has tags and no XMP."""
_TYPES: Final = {".mp4": "video/mp4", ".mov": "video/quicktime", ".png": "image/png"}


def xmp(label: str, source: str) -> str:
    """An XMP packet that says both. label: plain words."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
        ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
        ' xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"'
        f' Iptc4xmpExt:DigitalSourceType="{source}" xmp:CreatorTool="Handstream">'
        f'<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{label}</rdf:li></rdf:Alt></dc:description>'
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
        '<?xpacket end="w"?>'
    )


def png_info(label: str, source: str) -> PngInfo:
    """What a PNG is to be saved with: XMP, and the plain words."""
    info = PngInfo()
    info.add_itxt(XMP_KEY, xmp(label, source))
    info.add_text("Comment", label)
    return info


def append_xmp(path: Path, label: str, source: str) -> None:
    """Put XMP at the end of a finished .mp4 or .mov."""
    packet = xmp(label, source).encode()
    with path.open("ab") as file:
        file.write(struct.pack(">I4s16s", 24 + len(packet), b"uuid", XMP_BOX) + packet)


@dataclass(frozen=True)
class Credentials:
    """certificate: a PEM file with the signer's certificate and those above it; key: its private key, PEM.

    Raises ValueError where a file is missing, is none, is no pair with the other, or the extra is not there.
    """

    certificate: Path
    key: Path

    def __post_init__(self) -> None:
        try:
            import c2pa  # noqa: F401
        except ImportError as error:
            raise ValueError(
                f"--c2pa-certificate: the C2PA library is not here ({error}); install the extra: "
                "pip install 'handstream[c2pa]'"
            ) from error
        self._algorithm()

    def _algorithm(self) -> str:
        """The signature that goes with the key."""
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

        try:
            first = x509.load_pem_x509_certificates(self.certificate.read_bytes())[0]
            key = serialization.load_pem_private_key(self.key.read_bytes(), None)
        except (OSError, ValueError, TypeError) as error:
            raise ValueError(
                f"--c2pa-certificate {self.certificate}, --c2pa-key {self.key}: cannot be read ({error}); "
                "give a PEM certificate chain and its PEM private key without a password"
            ) from error
        der = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        if first.public_key().public_bytes(*der) != key.public_key().public_bytes(*der):
            raise ValueError(
                f"--c2pa-key {self.key}: is not the key of the first certificate in {self.certificate}"
            )
        if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size in (256, 384, 521):
            return {256: "ES256", 384: "ES384", 521: "ES512"}[key.curve.key_size]
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return "ED25519"
        if isinstance(key, rsa.RSAPrivateKey):
            return "PS256"
        raise ValueError(
            f"--c2pa-key {self.key}: got {type(key).__name__}, expected ECDSA (P-256, P-384, P-521), Ed25519 "
            "or RSA"
        )

    def sign(self, path: Path, label: str, source: str) -> None:
        """Put a signed manifest into a finished file. Raises ValueError where the library refuses."""
        import c2pa

        kind = check_signable(path)
        manifest = {
            "claim_generator_info": [{"name": "Handstream"}],
            "format": kind,
            "title": label,
            "assertions": [
                {
                    "label": "c2pa.actions.v2",
                    "data": {
                        "actions": [
                            {
                                "action": "c2pa.created",
                                "digitalSourceType": source,
                                "description": label,
                                "softwareAgent": {"name": "Handstream"},
                            }
                        ]
                    },
                }
            ],
        }
        info = c2pa.C2paSignerInfo(
            self._algorithm().lower().encode(), self.certificate.read_bytes(), self.key.read_bytes(), None
        )
        signed = path.with_name(f".signed-{path.name}")
        try:
            with c2pa.Builder(json.dumps(manifest)) as builder, c2pa.Signer.from_info(info) as signer:
                builder.sign_file(path, signed, signer)
            signed.replace(path)
        except c2pa.C2paError as error:
            raise ValueError(
                f"--c2pa-certificate {self.certificate}: the file cannot be signed with it ({error}); C2PA "
                "wants a certificate of an authority with the extended usage e-mail protection or document "
                "signing, not one signed by itself"
            ) from error
        finally:
            signed.unlink(missing_ok=True)


def check_signable(path: Path) -> str:
    """The media type of a file that can hold a manifest. Raises ValueError for another."""
    if path.suffix not in _TYPES:
        raise ValueError(
            f"--c2pa-certificate: {path.suffix} holds no C2PA manifest; use --out x{', x'.join(_TYPES)}"
        )
    return _TYPES[path.suffix]
