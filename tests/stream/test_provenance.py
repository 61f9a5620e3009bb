"""What a file says of its origin, read back by libav, Pillow and the C2PA library."""

import datetime
import json
import xml.etree.ElementTree as ET

import av
import c2pa
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from PIL import Image

from stream.cli import main
from stream.provenance import ALGORITHM, TRAINED, xmp

SMALL = ["--size", "64x64", "--quiet"]
EXT = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"


def source_in(packet: str) -> str:
    """What an XMP packet says, by a real XML parser."""
    root = ET.fromstring(packet.split("?>", 1)[1].rsplit("<?", 1)[0])
    [found] = [e.attrib[EXT] for e in root.iter() if EXT in e.attrib]
    return found


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    """A certificate of an authority of ours for signing documents, both in one chain, and its key."""
    folder = tmp_path_factory.mktemp("papers")
    now = datetime.datetime.now(datetime.UTC)
    names = [
        x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, name),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test"),
            ]
        )
        for name in ("authority", "signer")
    ]
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in names]
    chain = []
    for name, key, is_authority in zip(names, keys, (True, False), strict=True):
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(names[0])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(is_authority, None), True)
            .add_extension(
                x509.KeyUsage(
                    not is_authority, False, False, False, False, is_authority, is_authority, False, False
                ),
                True,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[0].public_key()), False)
        )
        if not is_authority:
            made = made.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
        chain.insert(0, made.sign(keys[0], hashes.SHA256()))
    pem = serialization.Encoding.PEM
    (folder / "chain.pem").write_bytes(b"".join(c.public_bytes(pem) for c in chain))
    (folder / "authority.pem").write_bytes(chain[1].public_bytes(pem))
    for name, key in zip(("authority.key", "key.pem"), keys, strict=True):
        (folder / name).write_bytes(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
    return folder


def signed_with(papers, certificate="chain.pem", key="key.pem"):
    return ["--c2pa-certificate", str(papers / certificate), "--c2pa-key", str(papers / key)]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".webm", ".png"])
def test_every_picture_file_says_what_it_is_to_programs(suffix, tmp_path):
    out = tmp_path / f"a{suffix}"
    assert main(["say", "A", "--out", str(out), *SMALL]) == 0
    if suffix == ".png":
        with Image.open(out) as picture:
            assert source_in(picture.info["XML:com.adobe.xmp"]) == ALGORITHM
            assert "Machine-generated" in picture.info["Comment"]
        return
    with av.open(str(out), options={"export_xmp": "1"} if suffix != ".webm" else {}) as video:
        told = {name.lower(): value for name, value in video.metadata.items()}
        assert "Machine-generated" in told["comment"]
        found = told["digital_source_type"] if suffix == ".webm" else source_in(told["xmp"])
        assert found == ALGORITHM
        assert sum(1 for _ in video.decode(video=0)) > 10, "and it plays"


def test_what_a_model_moved_is_told_apart(tmp_path):
    out = tmp_path / "a.png"
    assert main(["say", "A", "--choreography", "cogeneration", "--out", str(out), *SMALL]) == 0
    with Image.open(out) as picture:
        assert source_in(picture.info["XML:com.adobe.xmp"]) == TRAINED
    assert source_in(xmp("words", TRAINED)) == TRAINED


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".png"])
def test_a_c2pa_manifest_is_valid_and_breaks_with_the_picture(suffix, papers, tmp_path):
    out = tmp_path / f"a{suffix}"
    assert main(["say", "A", "--out", str(out), *SMALL, *signed_with(papers)]) == 0
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
    with c2pa.Reader(out) as reader:
        told = json.loads(reader.json())
        assert reader.get_validation_state() in ("Valid", "Trusted")
    manifest = told["manifests"][told["active_manifest"]]
    [actions] = [
        a["data"]["actions"] for a in manifest["assertions"] if a["label"].startswith("c2pa.actions")
    ]
    assert actions[0]["action"] == "c2pa.created"
    assert actions[0]["digitalSourceType"] == ALGORITHM
    whole = bytearray(out.read_bytes())
    at = whole.index(b"IDAT" if suffix == ".png" else b"mdat") + 40
    whole[at] ^= 1
    broken = tmp_path / f"b{suffix}"
    broken.write_bytes(whole)
    with c2pa.Reader(broken) as reader:
        assert reader.get_validation_state() == "Invalid"


def test_signatures_that_cannot_be_are_told_before_anything_is_made(papers, tmp_path, capsys):
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("no certificate")
    for out, arguments, message in (
        ("a.webm", signed_with(papers), "holds no C2PA manifest"),
        ("a.mp4", signed_with(papers)[:2], "expected both"),
        ("a.mp4", signed_with(papers, key="authority.key"), "is not the key of the first certificate"),
        ("a.mp4", signed_with(papers, certificate="missing.pem"), "cannot be read"),
        ("a.mp4", ["--c2pa-certificate", str(nothing), "--c2pa-key", str(nothing)], "cannot be read"),
    ):
        assert main(["say", "A", "--out", str(tmp_path / out), *SMALL, *arguments]) == 1
        assert message in capsys.readouterr().err
    own = signed_with(papers, "authority.pem", "authority.key")
    assert main(["say", "A", "--out", str(tmp_path / "a.mp4"), *SMALL, *own]) == 1
    assert "certificate" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["nothing.pem"], "nothing half-made is left"
