"""The driver `email`, against a real SMTP server."""

import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from eddy.errors import LinkLost, Refused, SettingError
from eddy.fabric.ports import free_port
from eddy.links.email import Email

RAISED = {"alarm": "hot", "state": "raised", "origin": "b-1\r\nBcc: eve@example.org", "at": 5, "since": 5, "value": 90}


class Box:
    """Keeps what comes."""

    def __init__(self) -> None:
        self.mails: list[Any] = []
        self.answer = "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        if self.answer.startswith("2"):
            self.mails.append((session.ssl is not None, session.authenticated, envelope.rcpt_tos, envelope.content.decode()))
        return self.answer


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(hours=1), now + timedelta(hours=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), False)
    file = tmp_path / "mail.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(private + made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    return file


@pytest.fixture
def serve() -> Iterator[Callable[..., tuple[Box, int]]]:
    running: list[Controller] = []

    def start(**options: Any) -> tuple[Box, int]:
        box = Box()
        port = free_port()
        controller = Controller(box, "127.0.0.1", port, **options)
        controller.start()
        running.append(controller)
        return box, port

    yield start
    for controller in running:
        controller.stop()


def context(certificate: Path) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate)
    return made


def driver(port: int, scheme: str = "smtp", **more: Any) -> Email:
    return Email(server=f"{scheme}://127.0.0.1:{port}", to=["ops@example.org", "night@example.org"], sender="eddy@example.org", **more)


def test_a_change_of_an_alarm_is_one_mail_and_cannot_add_headers(serve: Callable[..., tuple[Box, int]]) -> None:
    box, port = serve()
    sink = driver(port)
    sink.write("hot/hot/7", 5, RAISED)
    sink.write("hot/hot/7", 5, RAISED)
    (_, _, to, text), (_, _, _, again) = box.mails
    head, _, body = text.partition("\r\n\r\n")
    assert to == ["ops@example.org", "night@example.org"]
    assert "Subject: hot raised at b-1  Bcc: eve@example.org: 90" in head
    assert not [line for line in head.split("\r\n") if line.startswith("Bcc")]
    assert '"key": "hot/hot/7"' in body
    assert [line for line in text.split("\r\n") if line.startswith("Message-ID")] == [
        line for line in again.split("\r\n") if line.startswith("Message-ID")
    ]


def test_an_alarm_is_told_in_its_unit(serve: Callable[..., tuple[Box, int]]) -> None:
    box, port = serve()
    driver(port, alarms={"hot": {"per": {"value": 10}, "units": {"value": "Cel"}}}).write("hot/hot/7", 5, RAISED | {"origin": "b-1"})
    head, _, body = box.mails[0][3].partition("\r\n\r\n")
    assert "Subject: hot raised at b-1: 9.0 Cel" in head
    assert '"value": 9.0' in body and '"unit": "Cel"' in body


def test_other_samples_are_mails_too(serve: Callable[..., tuple[Box, int]]) -> None:
    box, port = serve()
    driver(port).write("s/o/1", 5, [1, b"\x00"])
    assert "Subject: s/o/1" in box.mails[0][3]


@pytest.mark.filterwarnings("ignore:Requiring AUTH")  # of the server that speaks nothing but TLS
@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_password_goes_over_tls_to_whom_is_trusted(serve: Callable[..., tuple[Box, int]], certificate: Path, scheme: str) -> None:
    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=(data.login, data.password) == (b"eddy", b"secret"), handled=False)

    tls = {"tls_context": context(certificate)} if scheme == "smtp" else {"ssl_context": context(certificate), "auth_require_tls": False}
    box, port = serve(authenticator=check, auth_required=True, **tls)
    driver(port, scheme, user="eddy", password="secret", ca=str(certificate)).write("k", 0, 1)
    assert [(secure, known) for secure, known, *_ in box.mails] == [(scheme == "smtp", True)]  # whether it came by STARTTLS
    with pytest.raises(LinkLost, match="does not let us in") as said:
        driver(port, scheme, user="eddy", password="wrong-one", ca=str(certificate)).write("k", 0, 1)
    assert "wrong-one" not in str(said.value)
    with pytest.raises(LinkLost, match="CertVerification"):
        driver(port, scheme, user="eddy", password="secret").write("k", 0, 1)
    assert len(box.mails) == 1


def test_no_password_without_tls(serve: Callable[..., tuple[Box, int]]) -> None:
    box, port = serve()
    with pytest.raises(LinkLost, match="offers no TLS"):
        driver(port, user="eddy", password="secret").write("k", 0, 1)
    assert box.mails == []


def test_what_is_refused_for_good_is_told_apart_from_what_may_work_later(serve: Callable[..., tuple[Box, int]]) -> None:
    box, port = serve()
    box.answer = "550 no"
    with pytest.raises(Refused, match="550"):
        driver(port).write("k", 0, 1)
    box.answer = "451 later"
    with pytest.raises(LinkLost, match="451"):
        driver(port).write("k", 0, 1)


def test_wrong_settings_say_what_to_write() -> None:
    for server in ("mail.example.org", "http://x", "smtp://", "smtp://x:y"):
        with pytest.raises(SettingError, match="smtp://host:port"):
            Email(server=server, to="a@b.c", sender="a@b.c")
    for to in ("", "nobody", "a@b.c\nBcc: x@y.z"):
        with pytest.raises(SettingError, match="addresses"):
            Email(server="smtp://x", to=to, sender="a@b.c")
