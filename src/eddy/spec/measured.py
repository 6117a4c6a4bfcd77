"""Samples carry whole numbers and rows without names; what an app says of a stream turns them into what was measured."""

from collections.abc import Mapping
from typing import Any


def measured(value: Any, said: Mapping[str, Any]) -> Any:
    """A value as it was measured.

    Args:
        value: Of a sample.
        said: Of its stream, see `eddy.spec.described.described`.

    Returns:
        A list whose parts have names as a map of these; every whole number divided by the scale, or by what is said of its part alone.
    """
    if "fields" in said:
        value = _named(value, said)
    elif "per" in said and isinstance(value, dict):
        value = {name: _divided(one, said["per"].get(name, 1)) for name, one in value.items()}
    scale = int(said.get("scale", 1))
    return _divided(value, scale)


def unit_of(said: Mapping[str, Any], field: str) -> str:
    """The unit of a field of a stream, as people read it: nothing for a ratio, or where nothing is said."""
    unit = said.get("units", {}).get(field) or said.get("unit") or "/"
    return "" if unit == "/" else str(unit)


def alarm(value: Any, said: Mapping[str, Mapping[str, Any]]) -> Any:
    """A change of an alarm with its value as it was measured, and the unit; anything else as it is.

    Args:
        value: Of a sample.
        said: Of alarms, by their names.
    """
    name = value.get("alarm") if isinstance(value, dict) else None
    if not isinstance(name, str) or name not in said:
        return value
    unit = unit_of(said[name], "value")
    return measured(value, said[name]) | ({"unit": unit} if unit else {})


def _named(value: Any, said: Mapping[str, Any]) -> Any:
    """A list as the map of its parts that have names; a part that is a list itself has names for its own parts, or none."""
    if not isinstance(value, list | tuple):
        return value
    named: dict[str, Any] = {}
    for path, name in said["fields"].items():
        at: Any = value
        for step in path.split("."):
            at = at[int(step)] if isinstance(at, list | tuple) and int(step) < len(at) else None
        if at is None or isinstance(at, list | tuple) or at == said.get("absent", {}).get(name):
            continue
        named[name] = at / said["per"][name] if name in said.get("per", {}) else at
    return named


def _divided(value: Any, scale: int) -> Any:
    """A value with every whole number divided by the scale; as it is for 1."""
    if scale == 1:
        return value
    if isinstance(value, dict):
        return {name: _divided(one, scale) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_divided(one, scale) for one in value]
    return value / scale if isinstance(value, int) and not isinstance(value, bool) else value
