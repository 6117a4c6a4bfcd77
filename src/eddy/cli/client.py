"""How verbs speak to a hub: its URL, its token, its answers, and errors that say what to do.

The token comes from the environment or a file, never from the command line, which other users of a machine can read.
"""

import os
import stat
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeVar
from urllib.parse import quote, urlsplit

import typer

from eddy import errors
from eddy.errors import EddyError, KeyFileError, LinkError, LinkLost, LinkTimeout, NotAllowed, SettingError
from eddy.hub.view import Decision, DeviceView, Document, Event, Found, FunctionView, NodeView

if TYPE_CHECKING:
    from eddy.spec.model import App

HUB = "http://127.0.0.1:8787"
PAGE = 1000
SILENCE_S = 40.0
"""After so long without a sign of life a stream counts as broken; the hub gives one every 15 s."""
ATTEMPTS = 30
"""To come back to a stream that broke, a second apart."""

HubUrl = Annotated[str, typer.Option("--hub", metavar="URL", envvar="EDDY_HUB", help="The hub.")]
TokenFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", envvar="EDDY_TOKEN_FILE", help="File with the hub's token, readable by you only; or set EDDY_TOKEN."),
]
_View = TypeVar("_View", NodeView, FunctionView, Decision, DeviceView, Event, Document)


class Hub:
    """A hub at a URL; a context manager.

    Args:
        url: Where, such as `http://127.0.0.1:8787`.
        token: Its bearer token; None when it has none.
        ca: File with the certificate of the authority that vouches for it, PEM; None for those that this machine trusts.
        timeout_s: For an answer, s.
        transport: For tests: what carries requests instead of the network.
    """

    def __init__(self, url: str, token: str | None = None, ca: Path | None = None, timeout_s: float = 10.0, transport: Any = None) -> None:
        import httpx2

        host = urlsplit(url).hostname
        if not host or urlsplit(url).scheme not in ("http", "https"):
            raise SettingError(f"{url!r} is no URL of a hub: give one such as {HUB}")
        self._url = url.rstrip("/")
        self._http = httpx2.Client(
            base_url=f"{self._url}/api/v1/",
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=timeout_s,
            verify=_trust(ca) if ca else True,
            transport=transport,
            trust_env=host not in ("127.0.0.1", "localhost", "::1"),  # no proxy can reach this machine's loopback
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._http.close()

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """One request.

        Args:
            method: Of HTTP.
            path: Below /api/v1.
            body: JSON; None for none.
            query: What is None is left out.

        Returns:
            The JSON of the answer; None when it has none.

        Raises:
            LinkLost: No hub is there.
            LinkTimeout: It does not answer.
            EddyError: What the hub says, with its code.
        """
        import httpx2

        given = {name: value for name, value in query.items() if value is not None}
        try:
            answer = self._http.request(method, path, json=body, params=given)
        except httpx2.TimeoutException:
            raise LinkTimeout(f"the hub at {self._url} does not answer: see whether it is busy or hangs, then try again") from None
        except httpx2.HTTPError as error:
            raise self._lost(error) from None
        if answer.status_code >= 400:
            raise self._refused(answer)
        try:
            return answer.json() if answer.content else None
        except ValueError:
            raise self._stranger() from None

    def nodes(self) -> list[NodeView]:
        """All nodes."""
        return [_view(NodeView, item) for item in self.call("GET", "nodes")]

    def functions(self) -> list[FunctionView]:
        """All instances."""
        return [_view(FunctionView, item) for item in self.call("GET", "functions")]

    def function(self, instance: str) -> FunctionView:
        """One instance; raises UnknownName."""
        return _view(FunctionView, self.call("GET", f"functions/{quote(instance, safe='')}"))

    def devices(self, state: str | None = None) -> list[DeviceView]:
        """Devices that wait for approval, and others; see `HubView.devices`."""
        return [_view(DeviceView, item) for item in self.call("GET", "devices", state=state)]

    def waiting(self) -> int:
        """How many devices wait for approval."""
        return int(self.call("GET", "devices/waiting")["count"])

    def decisions(self, instance: str | None = None, after: int | None = None, limit: int = 100) -> list[Decision]:
        """Lines of the ledger; see `HubView.decisions`."""
        return [_view(Decision, item) for item in self.call("GET", "decisions", instance=instance, after=after, limit=limit)]

    def history(self, instance: str) -> list[Decision]:
        """Every decision about an instance, oldest first."""
        found: list[Decision] = []
        while page := self.decisions(instance, found[-1].number if found else 0, PAGE):
            found += page
        return found

    def events(self, after: int | None = None, limit: int = 100) -> list[Event]:
        """Events; see `HubView.events`."""
        return [_view(Event, item) for item in self.call("GET", "events", after=after, limit=limit)]

    def search(self, text: str, limit: int = 100) -> Found:
        """See `HubView.search`."""
        said = self.call("GET", "search", text=text.encode(errors="replace").decode(), limit=limit)
        documents = [_view(Document, item) for item in said["documents"]]
        return Found(documents, [_view(Decision, item) for item in said["decisions"]], [_view(Event, item) for item in said["events"]])

    def move(self, instance: str, node: str, why: str) -> None:
        """Want an instance on another node."""
        self.call("PUT", f"functions/{quote(instance, safe='')}/placement", {"node": node, "why": why})

    def follow(self, instance: str | None = None, position: str | None = None) -> Iterator[Decision | Event]:
        """Decisions and events as they come. A stream that breaks is taken up where it broke.

        Args:
            instance: About this one only.
            position: What comes after it, `DECISION.EVENT`: the last number of either; None for from now on.

        Raises:
            LinkLost: The hub is gone for good.
            EddyError: As `call`.
        """
        import httpx2

        failed, heard = 0, False
        while True:
            headers = {"Last-Event-ID": position} if position else {}
            query = {"instance": instance} if instance else {}
            try:
                with self._http.stream("GET", "events/stream", headers=headers, params=query, timeout=SILENCE_S) as answer:
                    if answer.status_code >= 400:
                        answer.read()
                        raise self._refused(answer)
                    for message in _messages(answer.iter_lines()):
                        failed, heard = 0, True
                        position = message["id"] or position
                        if message["event"] == "decision":
                            yield _view(Decision, message["data"])
                        elif message["event"] == "event":
                            yield _view(Event, message["data"])
            except httpx2.HTTPError as error:
                if failed >= ATTEMPTS or (not heard and isinstance(error, httpx2.ConnectError)):
                    raise self._lost(error) from None
            failed += 1
            pause(1.0)

    def _lost(self, error: Exception) -> LinkLost:
        if "CERTIFICATE" in str(error):
            return LinkLost(f"nobody known here vouches for {self._url} ({error}): let EDDY_CA name its authority's certificate")
        return LinkLost(f"no hub is at {self._url} ({error}): start one, or name the right one with --hub or EDDY_HUB")

    def _stranger(self) -> LinkError:
        return LinkError(f"what answers at {self._url} is no hub of Eddy: name the right one with --hub or EDDY_HUB")

    def _refused(self, answer: Any) -> EddyError:
        try:
            problem = answer.json()
            code, detail = int(problem["code"]), str(problem["detail"])
        except (ValueError, KeyError, TypeError):
            return self._stranger()
        if code == NotAllowed.code:
            return NotAllowed(f"{detail} (the hub at {self._url})")
        known = [getattr(errors, name) for name in errors.__all__]
        return next((kind(detail) for kind in known if kind.code == code), EddyError(detail))


def connect(url: str, token_file: Path | None) -> Hub:
    """The hub that the options of a verb name; `EDDY_CA` names the file of its authority, when this machine does not know that.

    Raises:
        SettingError: The URL is none.
        KeyFileError: The token's or the authority's file cannot be used, or others can read the token.
    """
    ca = os.environ.get("EDDY_CA")
    return Hub(url, read_token(token_file), Path(ca) if ca else None)


def user() -> str:
    """The name of the user of this process; raises SettingError where it has none."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container, say
        raise SettingError("the user of this process has no name: say who with --by") from None


def read_token(file: Path | None) -> str | None:
    """The token from EDDY_TOKEN, else from a file; None when neither is given."""
    token = os.environ.get("EDDY_TOKEN")
    if token or file is None:
        return token or None
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        text = file.read_text(encoding="ascii").strip()
    except OSError as error:
        raise KeyFileError(f"{file}: {error.strerror}; name the file that holds the hub's token") from None
    except UnicodeDecodeError:
        raise KeyFileError(f"{file} holds no token: it is one line of letters and digits") from None
    if mode & 0o077:
        raise KeyFileError(f"{file}: others can read this token (mode {mode:04o}); take a new one, or chmod 600 if it was never exposed")
    return text


def own_code(app: "App") -> dict[str, bytes]:
    """{path: content} of people's own files that an app uses."""
    from eddy.planner.wiring import wiring

    files = {one.program[0] for one in wiring(app) if str(one.program[0]).endswith(".py")}
    return {file: (app.folder / file).read_bytes() for file in sorted(files)}


def own_files(app: "App") -> dict[str, str]:
    """The same as the hub takes them: the content in base64."""
    from base64 import b64encode

    return {file: b64encode(content).decode() for file, content in own_code(app).items()}


def pause(seconds: float) -> None:
    """Wait before asking again; tests put their own in its place."""
    time.sleep(seconds)


def _trust(ca: Path) -> Any:
    import ssl

    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:  # of which those of TLS are a kind
        raise KeyFileError(f"{ca} holds no certificate ({error}): EDDY_CA names the PEM file of the hub's authority") from None


def _view(kind: type[_View], item: dict[str, Any]) -> _View:
    """From JSON; fields that a newer hub adds are left out."""
    try:
        return kind(**{field.name: item[field.name] for field in fields(kind)})
    except (KeyError, TypeError):
        raise LinkError("the hub answers in a way that this version does not know: use the same version on both sides") from None


def _messages(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Server-sent events (HTML Living Standard, 9.2), as far as the hub makes them; an empty one for a sign of life."""
    import json

    message: dict[str, Any] = {"id": "", "event": "", "data": None}
    for line in lines:
        name, _, value = line.partition(": ")
        if line:
            if name in ("id", "event"):
                message[name] = value
            elif name == "data":
                message["data"] = json.loads(value)
        else:
            yield message
            message = {"id": "", "event": "", "data": None}
