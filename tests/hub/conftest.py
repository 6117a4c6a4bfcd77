"""The databases that a hub can have, and a whole hub."""

from collections.abc import Iterator
from pathlib import Path

import postgres
import pytest
import sqlalchemy as sql

from eddy.fabric.mesh import Mesh, free_endpoint
from eddy.hub.house import House
from eddy.hub.terms import open_database
from eddy.kernel.assignment import HUB
from eddy.security.signing import SigningKey


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    folder = postgres.programs()
    if folder is None:
        pytest.skip("no PostgreSQL server is installed (initdb and pg_ctl)")
    pytest.importorskip("psycopg")
    with postgres.server(folder) as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sql.Engine]:
    """An empty one."""
    url = f"sqlite:///{tmp_path / 'hub.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    engine = open_database(url)
    yield engine
    if request.param == "postgres":
        with engine.begin() as connection:
            connection.execute(sql.text("DROP SCHEMA public CASCADE"))
            connection.execute(sql.text("CREATE SCHEMA public"))
    engine.dispose()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A hub without nodes."""
    at = free_endpoint()
    mesh = Mesh([HUB], at)
    try:
        yield House(open_database(f"sqlite:///{tmp_path / 'hub.db'}"), SigningKey.load_or_create(tmp_path / "key.pem"), None, mesh, at)
    finally:
        mesh.close()
