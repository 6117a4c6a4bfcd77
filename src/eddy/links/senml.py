"""Sensor Measurement Lists (SenML, RFC 8428), from what a JSON or CBOR parser gives."""

import base64
import binascii
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from eddy.errors import Undecodable
from eddy.links.plain import decimal, time_ns

VERSION = 10
_LABELS = {-1: "bver", -2: "bn", -3: "bt", -4: "bu", -5: "bv", -6: "bs", 0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb", 5: "s", 6: "t"}
_LABELS |= {7: "ut", 8: "vd"}  # RFC 8428, table 4
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9:./_-]*")
_RELATIVE_S = 1 << 28  # section 4.5.3: what is below is counted from now
_KINDS: dict[str, type | tuple[type, ...]] = {"vs": str, "vb": bool, "n": str, "bn": str}


def resolve(pack: Any, now_ns: int) -> Iterator[tuple[int | None, str, Any]]:
    """The records of a pack, resolved (section 4.6): (time in ns or None for now, name, value).

    A value is a number, text, true or false, or bytes; where there is a sum only, that. Units are not kept: the source declares its own.

    Args:
        pack: A list of maps; labels of CBOR may be numbers.
        now_ns: What relative times are counted from.

    Raises:
        Undecodable: No pack, or one with fields that must be understood and are not.
    """
    if not isinstance(pack, list) or not pack:
        raise Undecodable("the message is no SenML: expected a list of records")
    base: dict[str, Any] = {}
    for number, raw in enumerate(pack):
        where = f"record {number}"
        if not isinstance(raw, dict):
            raise Undecodable(f"{where} is no map")
        record = {_LABELS.get(key, key) if isinstance(key, int) and not isinstance(key, bool) else key: part for key, part in raw.items()}
        _check(record, where)
        base |= {name: part for name, part in record.items() if name in ("bn", "bt", "bv", "bs")}
        found = _value(record, base, where)
        if found is None:
            continue
        name = base.get("bn", "") + record.get("n", "")
        if not _NAME.fullmatch(name):
            raise Undecodable(f"{where} has the name {name[:40]!r}: expected letters, digits and -:./_ after one of the first two")
        yield _time(record, base, now_ns, where), name, found


def _check(record: dict[Any, Any], where: str) -> None:
    for name, kind in _KINDS.items():
        if name in record and not isinstance(record[name], kind):
            raise Undecodable(f"{where}: {name} is of the wrong type")
    if record.get("bver", VERSION) not in range(1, VERSION + 1):
        raise Undecodable(f"{where} is of SenML version {str(record['bver'])[:20]}: {VERSION} is known here")
    for name in record:
        if isinstance(name, str) and name.endswith("_"):
            raise Undecodable(f"{where} has the field {name[:40]!r}, which must be understood (RFC 8428, section 4.4) and is not")


def _value(record: dict[Any, Any], base: dict[str, Any], where: str) -> Any:
    given = [name for name in ("v", "vs", "vb", "vd") if name in record]
    if len(given) > 1:
        raise Undecodable(f"{where} has more than one value: {', '.join(given)}")
    if given == ["v"] or (not given and "bv" in base):
        return _number(base.get("bv", 0), where) + _number(record.get("v", 0), where)
    if given == ["vd"]:
        return _data(record["vd"], where)
    if given:
        return record[given[0]]
    if "s" in record or "bs" in base:
        return _number(base.get("bs", 0), where) + _number(record.get("s", 0), where)
    if "n" in record:
        raise Undecodable(f"{where} has a name and no value")
    return None  # a record of base fields alone


def _number(value: Any, where: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise Undecodable(f"{where}: a value or sum is no number")
    return decimal(value, where)


def _data(value: Any, where: str) -> bytes:
    if isinstance(value, bytes):
        return value
    try:
        return base64.b64decode(value.rstrip("=") + "=" * (-len(value.rstrip("=")) % 4), altchars=b"-_", validate=True)
    except (AttributeError, ValueError, binascii.Error):
        raise Undecodable(f"{where}: vd is no base64url") from None


def _time(record: dict[Any, Any], base: dict[str, Any], now_ns: int, where: str) -> int | None:
    at_s = _number(base.get("bt", 0), where) + _number(record.get("t", 0), where)
    if not at_s:
        return None
    at_ns = time_ns(at_s, "s", where)
    return now_ns + at_ns if at_s < _RELATIVE_S else at_ns
