"""What both ends of a connection over AMQP 0-9-1 share: the address of a broker, and what went wrong in words. Needs pika."""

import logging
import ssl
import struct
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from eddy.errors import SettingError, ToolMissing

try:
    import pika  # type: ignore[import-untyped]
    from pika import exceptions, spec
except ImportError:
    raise ToolMissing("AMQP needs the package pika: pip install 'eddy[knowledge]'") from None

__all__ = ["Broker", "broker", "pika", "words"]

logging.getLogger("pika").setLevel(logging.CRITICAL)  # what it says of failures names users, and is raised besides

_PORTS = {"amqp": 5672, "amqps": 5671}
_MEANS = {
    exceptions.ProbableAuthenticationError: "refuses user and password",
    exceptions.AuthenticationError: "refuses user and password",
    exceptions.ProbableAccessDeniedError: "has no such virtual host, or does not let this user into it",
    exceptions.IncompatibleProtocolError: "does not speak AMQP 0-9-1",
    exceptions.ConnectionBlockedTimeout: "takes no answers for want of memory or disk",
    exceptions.ConnectionOpenAborted: "has not answered in time",
}


class Broker(NamedTuple):
    """How to connect.

    Attributes:
        parameters: For pika.
        where: How messages call it: without user, password and virtual host.
        user: Whose name is in no message.
    """

    parameters: Any
    where: str
    user: str


def broker(to: str, timeout_s: float, ca: str | None = None, certificate: str | None = None, key: str | None = None) -> Broker:
    """What an address says.

    Args:
        to: `amqp://user:password@host:port/vhost`, or `amqps://` for TLS; parts may be percent-encoded. Without them it is `guest`, the
            port of the scheme, and the virtual host `/`.
        timeout_s: How long each step of connecting may take.
        ca, certificate, key: Files, PEM, for TLS: whom to trust, and who this is.

    Raises:
        SettingError: No such address or files.
    """
    way = "write amqp://host:port/vhost, amqps://host:port/vhost, or env:NAME for one in the environment"
    try:
        address = urlsplit(to)
        port = address.port or _PORTS.get(address.scheme, 0)
    except ValueError:
        raise SettingError(f"`to` of amqp is no address: {way}") from None
    host = address.hostname
    if address.scheme not in _PORTS or not port or not host or address.query:
        raise SettingError(f"`to` of amqp is no such address: {way}")
    user = unquote(address.username or "guest")
    trusted = None
    if address.scheme == "amqps":
        try:
            context = ssl.create_default_context(cafile=ca)
            if certificate:
                context.load_cert_chain(certificate, key)
        except OSError as error:
            raise SettingError(f"ca, certificate and key cannot be used for TLS ({error}): name files in PEM") from None
        trusted = pika.SSLOptions(context, host)
    parameters = pika.ConnectionParameters(
        host,
        port,
        unquote(address.path[1:]) or "/",
        pika.PlainCredentials(user, unquote(address.password or "guest")),
        ssl_options=trusted,
        connection_attempts=1,
        socket_timeout=timeout_s,
        stack_timeout=timeout_s,
        blocked_connection_timeout=timeout_s,
    )
    return Broker(parameters, f"the broker {host}:{port}", user)


def words(error: BaseException, user: str) -> str:
    """What pika says of a failure, as the end of a sentence about the broker."""
    while inner := _inner(error):
        error = inner
    why = str(getattr(error, "reply_text", error)).replace(f"user '{user}'", "this user")
    match error:
        case exceptions.ConnectionClosed() | exceptions.ChannelClosed():
            return f"refuses us: {why}"
        case OSError():
            return f"cannot be reached ({error.strerror or type(error).__name__})"
    return next((said for kind, said in _MEANS.items() if isinstance(error, kind)), f"has gone ({why or type(error).__name__})")


def _inner(error: BaseException) -> BaseException | None:
    """What a failure of connecting is wrapped around."""
    for one in (*getattr(error, "exceptions", ())[-1:], getattr(error, "exception", None), *error.args[:1]):
        if isinstance(one, BaseException):
            return one
    return None


class _Properties(spec.BasicProperties):  # type: ignore[misc]
    """Of a message that comes, without its headers: nobody here reads them, and pika fails at some that brokers let through.

    The connection ends then, and the same message comes again on the next.
    """

    def decode(self, encoded: bytes, offset: int = 0) -> Any:
        flags, at = struct.unpack_from(">H", encoded, offset)[0], offset + 2
        if flags & self.FLAG_HEADERS:
            for before in (self.FLAG_CONTENT_TYPE, self.FLAG_CONTENT_ENCODING):
                at += 1 + encoded[at] if flags & before else 0
            after = at + 4 + struct.unpack_from(">I", encoded, at)[0]
            encoded = struct.pack(">H", flags & ~self.FLAG_HEADERS) + encoded[offset + 2 : at] + encoded[after:]
            offset = 0
        return super().decode(encoded, offset)


spec.props[spec.BasicProperties.INDEX] = _Properties
