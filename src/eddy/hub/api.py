"""The hub's REST API: desired and reported state under /api/v1, things under /things, /metrics. It keeps nothing itself; see `HubView`."""

from fastapi import APIRouter, Depends, FastAPI
from fastapi.security import HTTPBearer

from eddy import errors
from eddy.errors import EddyError, UnknownName
from eddy.hub import access, metrics, orders, problems, state, things
from eddy.hub.view import HubView

POLL_S = 0.25
"""How often streams look for news."""

_TOKEN = HTTPBearer(auto_error=False, description="The hub's token; needed when it was given one.")
_open = APIRouter(tags=["about"])


def create(hub: HubView, token: str | None, poll_s: float = POLL_S) -> FastAPI:
    """The API of a hub as an ASGI app.

    Args:
        hub: What it shows and steers.
        token: Bearer token that every request must carry, except /healthz and enrolments; None for none, which is for loopback only.
        poll_s: How often streams look for news, s.

    Raises:
        SettingError: The token is too short to be one.
    """
    access.check_token(token)
    app = FastAPI(
        title="Eddy hub",
        version="1",
        summary="What runs where, why, and how to change it.",
        description='Errors are problems (RFC 9457) with Eddy\'s code. Times are milliseconds since 1970. Bytes are `{"base64": ...}`.',
        docs_url=None,  # it would load scripts from elsewhere
        redoc_url=None,
    )
    app.state.hub, app.state.poll_s, app.state.secured, app.state.closing = hub, poll_s, token is not None, False
    problems.install(app)
    app.add_middleware(access.Guard, token=token)
    app.include_router(_open, responses=problems.RESPONSES)
    app.include_router(orders.enrolment, prefix="/api/v1", responses=problems.RESPONSES)
    known = [Depends(_TOKEN)] if token is not None else []
    for router in (state.router, orders.router):
        app.include_router(router, prefix="/api/v1", dependencies=known, responses=problems.RESPONSES)
    for router in (things.router, metrics.router):
        app.include_router(router, dependencies=known, responses=problems.RESPONSES)
    app.openapi()  # now: FastAPI makes the models at the first request otherwise, in the thread of the server
    return app


@_open.get("/healthz", summary="Whether the hub is there")
def health() -> dict[str, str]:
    """Needs no token and says nothing else."""
    return {"status": "ok"}


@_open.get("/api/v1/errors/{code}", summary="What an error's code means")
def error(code: int) -> dict[str, int | str]:
    """Codes never change their meaning."""
    for name in ("EddyError", *errors.__all__):
        kind = getattr(errors, name)
        if issubclass(kind, EddyError) and kind.code == code:
            return {"code": code, "name": name, "title": problems.title(kind)}
    raise UnknownName(f"there is no error with code {code}: the tree of errors is in the documentation")
