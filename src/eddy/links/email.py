"""Driver `email`: a sample as a mail."""

import json
import smtplib
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from eddy.errors import LinkLost, LinkTimeout, Refused, SettingError
from eddy.links.driver import as_json
from eddy.spec.measured import alarm

_PORTS = {"smtp": 587, "smtps": 465}
_HERE = ("127.0.0.1", "::1", "localhost")


class Email:
    """Sends one mail for each sample, with a `Message-ID` made from its key: a mail that is sent twice can be recognised.

    What a mail server takes is its own promise: what becomes of the mail afterwards is not known here.

    Args:
        server: `smtp://host:port` (STARTTLS, RFC 3207; port 587) or `smtps://host:port` (TLS; port 465). Only a server on this machine is
            spoken to without TLS, when it offers none.
        to: Who gets it, one address or several.
        sender: From whom it is.
        user, password: Of the server; only ever sent over TLS.
        ca: File with certificates to trust, PEM; those of the system when empty.
        timeout_s: How long connecting, and each answer, may take.
        alarms: What is known of the values of alarms, see `eddy.spec.measured.alarm`: they are told as they were measured.

    Raises:
        SettingError: No such address, nobody to write to, or a file that cannot be read.
    """

    def __init__(
        self,
        *,
        server: str,
        to: str | list[str],
        sender: str,
        user: str = "",
        password: str = "",
        ca: str = "",
        timeout_s: int = 10,
        alarms: Mapping[str, Any] | None = None,
    ) -> None:
        way = "write smtp://host:port or smtps://host:port, or env:NAME for one in the environment"
        try:
            address = urlsplit(server)
            self._port = address.port or _PORTS.get(address.scheme, 0)
        except ValueError:
            raise SettingError(f"`server` of email is no address: {way}") from None
        self._to = [to] if isinstance(to, str) else list(to)
        if not self._port or address.scheme not in _PORTS or not address.hostname:
            raise SettingError(f"`server` of email is no such address: {way}")
        if not self._to or not all("@" in one and one.isprintable() and " " not in one for one in [*self._to, sender]):
            raise SettingError("`to` and `sender` of email are addresses such as ops@example.org")
        self._alarms = alarms or {}
        self._tls = address.scheme == "smtps"
        self._host, self._sender, self._user, self._password, self._timeout_s = address.hostname, sender, user, password, timeout_s
        try:
            self._context = ssl.create_default_context(cafile=ca or None)
        except OSError as error:
            raise SettingError(f"`ca` of email cannot be used ({error}): name a file with certificates, PEM") from None

    def write(self, key: str, time_ns: int, value: Any) -> None:
        """Send it.

        Raises:
            Refused: The server says that this mail is wrong (5xx).
            LinkLost, LinkTimeout: It cannot be reached, fails, or lets us not in.
        """
        try:
            with self._connect() as server:
                server.send_message(self._mail(key, time_ns, alarm(value, self._alarms)))
        except TimeoutError:
            raise LinkTimeout(f"{self._host} has not taken a mail within {self._timeout_s} s: it is tried again") from None
        except smtplib.SMTPAuthenticationError as error:
            raise LinkLost(f"{self._host} does not let us in ({error.smtp_code}): check `user` and `password`") from None
        except smtplib.SMTPRecipientsRefused as error:
            raise self._said(max(code for code, _ in error.recipients.values())) from None
        except smtplib.SMTPResponseException as error:
            raise self._said(error.smtp_code) from None
        except (OSError, smtplib.SMTPException) as error:
            raise LinkLost(f"{self._host} cannot be reached by mail ({type(error).__name__}): it is tried again") from None

    def safe(self, value: Any) -> None:
        """Send it as a sample of its own, key `safe`."""
        self.write("safe", 0, value)

    def _connect(self) -> smtplib.SMTP:
        if self._tls:
            server: smtplib.SMTP = smtplib.SMTP_SSL(self._host, self._port, timeout=self._timeout_s, context=self._context)
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=self._timeout_s)
        try:
            server.ehlo()
            secret = self._tls
            if not secret and (server.has_extn("starttls") or self._host not in _HERE):
                server.starttls(context=self._context)
                secret = True
            if self._user and not secret:
                raise LinkLost(
                    f"{self._host} offers no TLS, and a password is sent over nothing else: switch it on there, or leave `user` out"
                )
            if self._user:
                server.login(self._user, self._password)
        except BaseException:
            server.close()
            raise
        return server

    def _said(self, code: int) -> Exception:
        if code >= 500:
            return Refused(f"{self._host} refuses a mail with status {code}: check its addresses and rights")
        return LinkLost(f"{self._host} answers a mail with status {code}: it is tried again")

    def _mail(self, key: str, time_ns: int, value: Any) -> EmailMessage:
        mail = EmailMessage()
        mail["From"], mail["To"] = self._sender, ", ".join(self._to)
        mail["Subject"] = _line(value) or _printable(key)
        mail["Date"] = format_datetime(datetime.now(UTC))
        mail["Message-ID"] = f"<{sha256(key.encode()).hexdigest()[:32]}@{self._sender.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody is to answer it by machine
        mail.set_content(json.dumps(json.loads(as_json(key, time_ns, value)), indent=2, ensure_ascii=False) + "\n")
        return mail


def _line(value: Any) -> str:
    """A change of an alarm in one line; nothing for anything else."""
    if not isinstance(value, dict) or not {"alarm", "state", "origin"} <= value.keys():
        return ""
    told = "" if value.get("value") is None else f": {value['value']} {value.get('unit', '')}".rstrip()
    return _printable(f"{value['alarm']} {value['state']} at {value['origin']}{told}")


def _printable(text: str) -> str:
    """Nothing that would begin another line of the header."""
    return "".join(one if one.isprintable() else " " for one in text)[:200]
