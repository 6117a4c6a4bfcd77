"""Errors as Problem Details for HTTP APIs (RFC 9457), with Eddy's code."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import Field, TypeAdapter
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from eddy import errors
from eddy.errors import BadInput, EddyError, LinkError, LinkTimeout, NotAllowed, Outdated, Refused, Resource, StorageFull, UnknownName

MEDIA_TYPE = "application/problem+json"

STATUS: tuple[tuple[type[EddyError], int], ...] = (
    (UnknownName, 404),
    (errors.TooLarge, 413),
    (BadInput, 422),
    (NotAllowed, 401),
    (Outdated, 412),
    (Refused, 409),
    (StorageFull, 507),
    (Resource, 503),
    (LinkTimeout, 504),
    (LinkError, 503),
)
"""The status of an error: that of the first class it belongs to."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong (RFC 9457)."""

    __pydantic_config__: ClassVar = {"use_attribute_docstrings": True}

    type: Annotated[str, Field(examples=["/api/v1/errors/163"])]
    """Says what kind of error this is; `about:blank` when the status says it all."""
    title: Annotated[str, Field(examples=["There is no node, function or app of that name"])]
    """The same in words."""
    status: Annotated[int, Field(examples=[404])]
    """The status of the response."""
    detail: Annotated[str, Field(examples=["there is no function 'coumt': did you mean count?"])]
    """What happened here, and what to do next."""
    code: Annotated[int, Field(examples=[163])]
    """Eddy's code of the error, as in its logs and documentation; 0 when it has none."""


RESPONSES: dict[int | str, dict[str, Any]] = {
    kind: {"description": text, "content": {MEDIA_TYPE: {"schema": TypeAdapter(Problem).json_schema()}}}
    for kind, text in (("4XX", "The request cannot be carried out as it is."), ("5XX", "The hub cannot carry it out now."))
}
"""What every path of the API may answer besides."""


def response(status: int, error: EddyError | str, headers: Mapping[str, str] | None = None) -> Response:
    """A problem as the answer to a request.

    Args:
        status: Of HTTP.
        error: An error of Eddy, or what to say when there is none.
        headers: More headers.
    """
    if isinstance(error, EddyError):
        problem = Problem(f"/api/v1/errors/{error.code}", title(type(error)), status, _printable(str(error)), error.code)
    else:
        problem = Problem("about:blank", "HTTP error", status, _printable(error), 0)
    return JSONResponse(asdict(problem), status, headers, MEDIA_TYPE)


def title(kind: type[EddyError]) -> str:
    """The first sentence about a class of errors."""
    return (kind.__doc__ or kind.__name__).strip().splitlines()[0].rstrip(".")


def status_of(error: EddyError) -> int:
    """The status that tells an error."""
    return next((status for kind, status in STATUS if isinstance(error, kind)), 500)


def install(app: FastAPI) -> None:
    """Let an app answer errors as problems."""

    @app.exception_handler(EddyError)
    def _eddy(request: Request, error: EddyError) -> Response:
        status = status_of(error)
        return response(status, error, {"WWW-Authenticate": "Bearer"} if status == 401 else None)

    @app.exception_handler(RequestValidationError)
    def _invalid(request: Request, error: RequestValidationError) -> Response:
        wrong = [f"{'/'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
        return response(422, BadInput("; ".join(wrong)))

    @app.exception_handler(HTTPException)
    def _http(request: Request, error: HTTPException) -> Response:
        return response(error.status_code, f"{request.method} {request.url.path}: {error.detail}", error.headers)

    @app.exception_handler(Exception)
    def _fault(request: Request, error: Exception) -> Response:
        return response(500, "a fault of the hub itself: its log has the details; please report it")


def _printable(text: str) -> str:
    """What people typed comes back in messages, and may be no valid text."""
    return text.encode("utf-8", "replace").decode()
