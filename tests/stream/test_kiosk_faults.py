"""Kiosks when brokers, networks and servers fail: a real mosquitto is killed, stopped, hung, closed off."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from stream.kiosk import link
from stream.kiosk.config import open_broker
from tests.stream.kiosk_broker import Broker, Ear, House, until
from tests.stream.page_driver import ROOT


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    (tmp_path / "broker").mkdir()
    running = Broker(tmp_path / "broker")
    running.start()
    yield running
    running.resume()
    running.stop()


@pytest.fixture
async def house(broker: Broker) -> AsyncIterator[House]:
    opened = House(broker.port)
    yield opened
    await opened.close()


async def test_a_broker_that_is_killed_again_and_again_loses_and_repeats_nothing(
    house: House, broker: Broker, tmp_path: Path
):
    kiosks = await house.open(memory=tmp_path / "memory.sqlite3")
    kiosk = kiosks.kiosks["lobby"]
    words = [f"w{i}" for i in range(24)]
    async with Ear(broker.port) as ear:

        def send(some: list[str]) -> list[asyncio.Task[Any]]:
            commands = [{"command": "say", "text": word, "id": word} for word in some]
            return [asyncio.create_task(ear.insist(command)) for command in commands]

        sending = send(words[:8])
        for round in (1, 2):
            await until(lambda round=round: len(house.played) >= 4 * round, "some to be signed")
            broker.kill()
            await asyncio.to_thread(broker.start)
            sending += send(words[8 * round : 8 * round + 8])
        answers = await asyncio.gather(*sending)
        assert all(a["ok"] for a in answers)
        await until(lambda: len(house.played) >= len(words) and not len(kiosk.playlist), "all to be signed")
        assert sorted(house.played) == sorted(words)
        assert kiosk.link.connections >= 3
        assert ear.of("signs/lobby/status")[-1] == "online"


async def test_what_the_broker_sends_again_is_not_signed_again(
    house: House, broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    kiosks = await house.open(memory=tmp_path / "memory.sqlite3")
    kiosk = kiosks.kiosks["lobby"]
    async with Ear(broker.port) as ear:
        with monkeypatch.context() as patch:
            patch.setattr(kiosk.link, "done", lambda message: None)  # as if each acknowledgement were lost
            await ear.publish("signs/lobby/cmd", {"command": "say", "text": "named", "id": "n"})
            await ear.publish("signs/lobby/cmd", {"command": "say", "text": "nameless"})
            await until(lambda: len(ear.ids("finished")) == 2, "both to be signed")
            broker.stop()
        broker.start()
        await until(lambda: kiosk.orders.duplicates == 2, "both to be sent again, and to be known")
        await ear.insist({"command": "say", "text": "nameless", "id": "new"})  # said anew, it is another
        await until(lambda: len(house.played) == 3, "the new one")
        assert house.played == ["named", "nameless", "nameless"]


async def test_a_killed_server_leaves_its_will_and_goes_on_where_it_was(broker: Broker, tmp_path: Path):
    command = [sys.executable, "-m", "tests.stream.kiosk_process", str(broker.port), str(tmp_path / "memory")]

    def start() -> subprocess.Popen[bytes]:
        with (tmp_path / "log").open("ab") as log:
            return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)

    process = start()
    try:
        async with Ear(broker.port) as ear:

            def status() -> Any:
                return (ear.of("signs/lobby/status") or [None])[-1]

            await until(lambda: status() == "online", f"the server: {tmp_path / 'log'}")
            await ear.ask({"command": "say", "text": "word " * 100, "id": "first"})
            await ear.ask({"command": "say", "text": "later", "id": "second"})
            await until(lambda: "first" in ear.ids("began"), "the first to begin")
            process.send_signal(signal.SIGKILL)
            await until(lambda: status() == "offline", "the last will")
            await ear.publish("signs/lobby/cmd", {"command": "say", "text": "meanwhile", "id": "third"})
            process = start()
            await until(lambda: {"second", "third"} <= set(ear.ids("finished")), "what had not begun")
            assert ear.ids("began") == ["first", "second", "third"]
    finally:
        process.kill()
        process.wait(30)


async def test_a_broker_that_hangs_is_left_and_found_again(house: House, broker: Broker):
    kiosks = await house.open(keepalive_s=1)
    kiosk = kiosks.kiosks["lobby"]
    broker.hang()
    await until(lambda: not kiosk.link.connected, "it to be noticed")
    assert kiosks.trouble()
    broker.resume()
    async with Ear(broker.port) as ear:
        assert (await ear.insist({"command": "say", "text": "hello", "id": "h"}))["ok"]
        assert kiosk.link.connected
        assert kiosks.trouble() == []


async def test_a_host_that_never_answers_leaves_no_sockets_behind(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(link, "TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        house = House(silent.getsockname()[1])
        kiosks = await house.open(first_pause_s=0.01, longest_pause_s=0.02, wait=False)
        kiosk = kiosks.kiosks["lobby"]
        await until(lambda: "cannot be used" in kiosk.link.trouble, "the first attempt")
        before = len(os.listdir("/proc/self/fd"))
        answered = [silent.accept()[0]]  # the first is one of the backlog
        await asyncio.sleep(2)
        # One attempt at a time is open at our end (a socket, and the pair with which paho wakes itself).
        assert len(os.listdir("/proc/self/fd")) <= before + 1 + 3
        for connection in answered:
            connection.close()
        await house.close()


# -- who is let in --------------------------------------------------------------------------------


class Authority:
    """A test CA, and certificates signed by it, in files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"test CA {folder.name}")])
        self.file = self._write("ca", self._certificate("ca", self.key, ca=True))

    def issue(self, name: str) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        text = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path = self.folder / f"{name}.key"
        path.write_bytes(text)
        return self._write(name, self._certificate(name, key)), path

    def _certificate(self, name: str, key: ec.EllipticCurvePrivateKey, ca: bool = False) -> x509.Certificate:
        subject = self.name if ca else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        own = x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own), False)
        )
        if ca:
            usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        return builder.sign(self.key, hashes.SHA256())

    def _write(self, name: str, certificate: x509.Certificate) -> Path:
        path = self.folder / f"{name}.crt"
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return path


async def test_tls_with_certificates_of_both_and_a_password(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    authority, other = Authority(tmp_path / "ca"), Authority(tmp_path / "other")
    certificate, key = authority.issue("broker")
    passwords = tmp_path / "passwords"
    passwords.write_text("house:se-cret\n")
    hashing = ["mosquitto_passwd", "-U", passwords]
    await asyncio.to_thread(subprocess.run, hashing, check=True, timeout=60)
    passwords.chmod(0o600)
    lines = (
        f"cafile {authority.file}", f"certfile {certificate}", f"keyfile {key}", "require_certificate true",
        "allow_anonymous false", f"password_file {passwords}",
    )  # fmt: skip
    (tmp_path / "broker").mkdir()
    broker = Broker(tmp_path / "broker", *lines)
    broker.start()
    own, own_key = authority.issue("kiosk")
    (tmp_path / "user").write_text("house\n")
    (tmp_path / "password").write_text("se-cret\n")
    (tmp_path / "wrong").write_text("wrong-secret\n")
    house = House(broker.port)

    def address(**options: Any) -> Any:
        told = {
            "username_file": tmp_path / "user", "password_file": tmp_path / "password",
            "ca": authority.file, "certificate": own, "key": own_key, "environment": {},
        }  # fmt: skip
        return open_broker(f"mqtts://127.0.0.1:{broker.port}", **(told | options))

    try:
        await house.open(broker=address())
        context = ssl.create_default_context(cafile=str(authority.file))
        context.load_cert_chain(str(own), str(own_key))
        async with Ear(broker.port, username="house", password="se-cret", tls_context=context) as ear:
            assert (await ear.ask({"command": "ping"}))["ok"]
        await house.close()
        for wrong in (
            {"password_file": tmp_path / "wrong"},
            {"ca": other.file},
            {"certificate": None, "key": None},
        ):
            kiosks = await house.open(broker=address(**wrong), wait=False)
            await until(lambda k=kiosks: "cannot be used" in k.trouble()[0], f"a refusal of {wrong}")
            assert not kiosks.kiosks["lobby"].link.connected
            await house.close()
    finally:
        await house.close()
        broker.stop()
    assert "secret" not in caplog.text
    assert "se-cret" not in caplog.text


def test_secrets_do_not_come_by_the_command_line(tmp_path: Path):
    with pytest.raises(ValueError, match="password-file") as told:
        open_broker("mqtt://house:se-cret@broker", environment={})
    assert "se-cret" not in str(told.value)
    environment = {"HANDSTREAM_MQTT_USERNAME": "house", "HANDSTREAM_MQTT_PASSWORD": "se-cret"}
    broker = open_broker("mqtt://broker", environment=environment)
    assert (broker.username, broker.password, broker.port) == ("house", "se-cret", 1883)
    assert "se-cret" not in repr(broker)
    for url in ("broker", "http://broker", "mqtt://", "mqtt://broker:99999", "mqtt://broker/path"):
        with pytest.raises(ValueError, match="mqtt://host"):
            open_broker(url, environment={})
