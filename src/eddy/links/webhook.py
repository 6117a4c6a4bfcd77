"""Driver `webhook`: a sample as a POST request."""

import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from eddy.errors import LinkLost, LinkTimeout, Refused, SettingError
from eddy.links.driver import as_json
from eddy.spec.measured import alarm

_AGAIN = (408, 425, 429)  # of the 4xx those that are about time and not about the request


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows nothing: a POST that is redirected would become a GET without its body."""

    def redirect_request(self, *about: Any) -> None:
        return None


class Webhook:
    """Posts `{"key", "time_ns", "value"}` as JSON, with the key in the header `Idempotency-Key`.

    (The header as in the IETF draft draft-ietf-httpapi-idempotency-key-header: a receiver that knows the key already does nothing.)

    Args:
        to: http or https address. Messages name its host only, since the rest is often a secret.
        timeout_s: How long connecting, and each answer, may take.
        alarms: What is known of the values of alarms, see `eddy.spec.measured.alarm`: they are told as they were measured.

    Raises:
        SettingError: No such address.
    """

    def __init__(self, *, to: str, timeout_s: int = 10, alarms: Mapping[str, Any] | None = None) -> None:
        address = urlsplit(to)
        if address.scheme not in ("http", "https") or not address.hostname:
            way = "write https://host/path, or env:NAME for one in the environment"
            raise SettingError(f"`to` of a webhook is no http or https address: {way}")
        self._to = to
        self._host = address.hostname
        self._timeout_s = timeout_s
        self._alarms = alarms or {}
        self._opener = urllib.request.build_opener(_Stay())

    def write(self, key: str, time_ns: int, value: Any) -> None:
        """Post it.

        Raises:
            Refused: The receiver says that the request itself is wrong (4xx, 3xx).
            LinkLost, LinkTimeout: It cannot be reached, fails, or asks for patience.
        """
        headers = {"Content-Type": "application/json", "Idempotency-Key": key, "User-Agent": "eddy"}
        content = as_json(key, time_ns, alarm(value, self._alarms))
        request = urllib.request.Request(self._to, content, headers, method="POST")  # noqa: S310 - checked above
        try:
            with self._opener.open(request, timeout=self._timeout_s):
                return
        except urllib.error.HTTPError as answer:
            answer.close()
            if answer.code < 500 and answer.code not in _AGAIN:
                raise Refused(f"{self._host} refuses a webhook with status {answer.code}: check its address and rights") from None
            raise LinkLost(f"{self._host} answers a webhook with status {answer.code}: it is tried again") from None
        except TimeoutError:
            raise LinkTimeout(f"{self._host} has not answered a webhook within {self._timeout_s} s: it is tried again") from None
        except (OSError, HTTPException) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            kind = LinkTimeout if isinstance(reason, TimeoutError) else LinkLost
            raise kind(f"{self._host} cannot be reached by a webhook ({type(reason).__name__}): it is tried again") from None

    def safe(self, value: Any) -> None:
        """Post it as a sample of its own, key `safe`."""
        self.write("safe", 0, value)
