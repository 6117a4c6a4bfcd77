"""Plain data of functions (see `eddy.kernel.codec`) as JSON and back.

JSON has no bytes: they become `{"base64": "..."}`. So a map of a function with `base64` as its only key cannot be told from bytes. Keys
that are no text are shown as text; they do not come back as what they were.
"""

from base64 import b64decode, b64encode
from typing import Any

from eddy.errors import BadInput, SettingError
from eddy.kernel.codec import encode

_BYTES = "base64"


def to_json(value: Any) -> Any:
    """Plain data as JSON can say it."""
    if isinstance(value, bytes | bytearray | memoryview):
        return {_BYTES: b64encode(value).decode()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return {key if isinstance(key, str) else repr(key): to_json(item) for key, item in value.items()}
    return value


def from_json(value: Any) -> Any:
    """The plain data that JSON says.

    Raises:
        SettingError: A function could not take it: a float, an integer of more than 64 bits, or more than 8 levels.
    """
    try:
        plain = _from(value)
        encode(plain)
    except (BadInput, ValueError, RecursionError) as error:
        raise SettingError(f"no plain data ({error}): give integers, text, booleans, lists and maps; scale fractions") from None
    return plain


def _from(value: Any) -> Any:
    if isinstance(value, list):
        return [_from(item) for item in value]
    if isinstance(value, dict):
        if value.keys() == {_BYTES} and isinstance(value[_BYTES], str):
            return b64decode(value[_BYTES], validate=True)
        return {key: _from(item) for key, item in value.items()}
    return value
