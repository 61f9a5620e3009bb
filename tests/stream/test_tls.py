"""TLS: certificates shown, exchanged while serving, refused."""

import asyncio
import datetime
import ipaddress
import os
import signal
import ssl

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from stream.config import AccessSettings, Config
from stream.errors import StartupError
from stream.server import run
from tests.stream.stand_ins import light_cast

WAIT_S = 60


def certificate(folder, name: str):
    """A self-signed certificate for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    cert, secret = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert, secret


async def trusted(url: str, certificate) -> bool:
    """Whether the server shows that very certificate."""
    context = ssl.create_default_context(cafile=str(certificate))
    try:
        async with aiohttp.ClientSession() as http, http.get(f"{url}healthz", ssl=context) as answer:
            return answer.status == 200
    except aiohttp.ClientConnectorCertificateError:
        return False


async def test_https_and_a_new_certificate_on_sighup(tmp_path):
    cert, key = certificate(tmp_path, "old")
    address = asyncio.get_running_loop().create_future()
    access = AccessSettings(tls_certificate=cert, tls_key=key)
    config = Config(port=0, width=128, height=64, access=access)
    task = asyncio.create_task(run(config, light_cast(), ready=address.set_result))
    try:
        url = (await asyncio.wait_for(address, WAIT_S)).replace("localhost", "127.0.0.1")
        assert url.startswith("https://")
        old = tmp_path / "old.pem"
        old.write_bytes(cert.read_bytes())
        assert await trusted(url, old)
        cert.write_text("broken")
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0)
        assert await trusted(url, old)
        certificate(tmp_path, "new")
        assert not await trusted(url, cert)
        os.kill(os.getpid(), signal.SIGHUP)
        async with asyncio.timeout(WAIT_S):
            while not await trusted(url, cert):  # noqa: ASYNC110 - a signal has no event
                await asyncio.sleep(0.05)
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(task, WAIT_S)


async def test_a_certificate_that_cannot_be_used_is_told_at_start(launch, tmp_path):
    cert, _ = certificate(tmp_path, "one")
    with pytest.raises(StartupError, match="PEM"):
        await launch(access=AccessSettings(tls_certificate=cert, tls_key=tmp_path / "none.pem"))
    with pytest.raises(ValueError, match="tls-cert"):
        AccessSettings(tls_key=cert)
