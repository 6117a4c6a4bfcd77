"""The API against its own OpenAPI schema: what is allowed and what is not is answered as the schema says, and never with a fault."""

import pytest
import schemathesis
from fake_hub import FakeHub
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from eddy.hub.api import create

pytestmark = pytest.mark.slow

TOKEN = {"Authorization": "Bearer 0123456789abcdef0123"}
app = create(FakeHub(), TOKEN["Authorization"].split()[1])
schema = schemathesis.openapi.from_asgi("/openapi.json", app, headers=TOKEN).exclude(path_regex="stream|events/{name}")
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@schema.parametrize()
@settings(max_examples=15, suppress_health_check=list(HealthCheck))
def test_every_path_answers_as_its_schema_says(case: Case) -> None:
    case.call_and_validate(checks=CHECKS, headers=TOKEN)
