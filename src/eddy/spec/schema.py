"""The JSON Schema (draft-07, what editors read) of the language, made from the model."""

from typing import Any

from eddy.spec.model import App


def schema() -> dict[str, Any]:
    """The schema of an app's file."""
    return {"$schema": "http://json-schema.org/draft-07/schema#", **_older(App.model_json_schema(by_alias=True))}


def _older(node: Any) -> Any:
    """From draft 2020-12, as pydantic writes it, to draft-07: other names for definitions, and nothing beside a reference."""
    if isinstance(node, list):
        return [_older(part) for part in node]
    if not isinstance(node, dict):
        return node
    renamed = {{"$defs": "definitions"}.get(key, key): _older(value) for key, value in node.items()}
    if "$ref" in renamed:
        reference = {"$ref": renamed.pop("$ref").replace("#/$defs/", "#/definitions/")}
        return {**renamed, "allOf": [reference]} if renamed else reference
    return renamed
