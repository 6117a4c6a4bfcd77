"""What the W3C Recommendation "WoT Thing Description 1.1" demands of a description, as far as the hub's descriptions go.

Section numbers are those of the Recommendation of 5 December 2023. `EDDY_TD_SCHEMA` may name the W3C's own JSON Schema for more.
"""

from typing import Any
from urllib.parse import urljoin, urlsplit

TYPES = {"boolean", "integer", "number", "string", "object", "array", "null"}
OPERATIONS = {
    "properties": {"readproperty", "writeproperty", "observeproperty", "unobserveproperty"},
    "actions": {"invokeaction", "queryaction", "cancelaction"},
    "events": {"subscribeevent", "unsubscribeevent"},
}
SCHEMES = {"nosec", "auto", "combo", "basic", "digest", "apikey", "bearer", "psk", "oauth2"}
SCHEMAS = {"properties": (), "actions": ("input", "output"), "events": ("subscription", "data", "dataResponse", "cancellation")}


def check(td: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Asserts that a description is one; returns (operation, absolute URL, content type) of all its forms."""
    context = td["@context"] if isinstance(td["@context"], list) else [td["@context"]]  # 5.3.1.1
    assert context[0] == "https://www.w3.org/2022/wot/td/v1.1"
    assert isinstance(td["title"], str)
    assert td["title"]
    assert urlsplit(td["id"]).scheme  # a URI (RFC 3986)
    assert urlsplit(td["base"]).scheme in ("http", "https")
    assert td["securityDefinitions"]
    for definition in td["securityDefinitions"].values():  # 5.3.3.1
        assert definition["scheme"] in SCHEMES
        if definition["scheme"] == "bearer":
            assert definition.get("in", "header") in ("header", "query", "body", "cookie", "uri", "auto")
    applied = td["security"] if isinstance(td["security"], list) else [td["security"]]
    assert applied
    assert set(applied) <= set(td["securityDefinitions"])
    for link in td.get("links", []):
        assert urlsplit(urljoin(td["base"], link["href"])).netloc
    forms = []
    for kind, allowed in OPERATIONS.items():
        for name, affordance in td.get(kind, {}).items():
            assert name.isidentifier()
            assert affordance["forms"], f"{kind}/{name} has no way"  # 5.3.1.2: at least one
            if kind == "properties":
                check_schema(affordance)
                assert not (affordance.get("readOnly") and affordance.get("writeOnly"))
            for field in SCHEMAS[kind]:
                if field in affordance:
                    check_schema(affordance[field])
            for form in affordance["forms"]:
                operations = form["op"] if isinstance(form["op"], list) else [form["op"]]
                assert operations
                assert set(operations) <= allowed
                forms += [
                    (operation, urljoin(td["base"], form["href"]), form.get("contentType", "application/json")) for operation in operations
                ]
    return forms


def check_schema(schema: dict[str, Any]) -> None:
    """A data schema (5.3.2)."""
    if "type" in schema:
        assert schema["type"] in TYPES
    if "enum" in schema:
        assert schema["enum"]
        assert len(set(schema["enum"])) == len(schema["enum"])
    assert isinstance(schema.get("unit", ""), str)
    assert set(schema.get("required", [])) <= set(schema.get("properties", {}))
    for inner in [*schema.get("oneOf", []), *schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]:
        check_schema(inner)


def holds(schema: dict[str, Any], value: Any) -> bool:
    """Whether a value is one of a data schema."""
    kinds = {"boolean": bool, "string": str, "object": dict, "array": list, "null": type(None)}
    kind = schema.get("type")
    if kind in ("integer", "number"):
        return isinstance(value, int) and not isinstance(value, bool)
    if kind is not None and not isinstance(value, kinds[kind]):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if "oneOf" in schema and sum(holds(one, value) for one in schema["oneOf"]) != 1:
        return False
    if isinstance(value, list) and "items" in schema:
        return all(holds(schema["items"], item) for item in value)
    if isinstance(value, dict):
        return all(name not in value or holds(inner, value[name]) for name, inner in schema.get("properties", {}).items())
    return True
