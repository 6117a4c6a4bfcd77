"""What a payload of Sparkplug B holds: its messages, and the values of metrics by their datatypes (Sparkplug 3.0, section 6.4)."""

import math
import struct
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

from eddy.errors import ToolMissing, Undecodable
from eddy.links.plain import SAMPLE_BYTES

# Fields by message: type, name, number; a star where there may be several. What is not read here, such as properties, is not declared:
# it is unknown to protobuf, which passes over it. Only numbers and types are on the wire, so the messages have short names of their own.
_MESSAGES = {
    "Payload": "uint64 timestamp 1, *Metric metrics 2, uint64 seq 3",
    "Metric": "string name 1, uint64 alias 2, uint64 timestamp 3, uint32 datatype 4, bool is_null 7, uint32 int_value 10, "
    "uint64 long_value 11, float float_value 12, double double_value 13, bool boolean_value 14, string string_value 15, "
    "bytes bytes_value 16, DataSet dataset_value 17, Other template_value 18, Other extension_value 19",
    "DataSet": "uint64 num_of_columns 1, *string columns 2, *uint32 types 3, *Row rows 4",
    "Row": "*Cell elements 1",
    "Cell": "uint32 int_value 1, uint64 long_value 2, float float_value 3, double double_value 4, bool boolean_value 5, "
    "string string_value 6, Other extension_value 7",
    "Other": "",
}
_INTEGERS = {1: (8, True), 2: (16, True), 3: (32, True), 4: (64, True), 5: (8, False), 6: (16, False), 7: (32, False), 8: (64, False)}
_INTEGERS |= {13: (64, True)}  # a time before 1970 is one in two's complement
_FLOAT, _BOOLEAN, _DATASET, _TEMPLATE, _FLOATS, _BOOLEANS, _STRINGS = 9, 11, 16, 19, 30, 32, 33
_ARRAYS = range(22, 35)
_BITS = {"int_value": 32, "long_value": 64}
_FIELDS = {_FLOAT: "float_value", 10: "double_value", _BOOLEAN: "boolean_value", 12: "string_value", 14: "string_value", 15: "string_value"}
_FIELDS |= {_DATASET: "dataset_value", 17: "bytes_value", 18: "bytes_value", **dict.fromkeys(_ARRAYS, "bytes_value")}
_ITEMS = {22: "b", 23: "h", 24: "i", 25: "q", 26: "B", 27: "H", 28: "I", 29: "Q", _FLOATS: "f", 31: "d", 34: "q"}


@cache
def payload_class() -> Any:
    """The class of payloads, as protobuf makes it of the fields above; raises ToolMissing."""
    try:
        from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto  # type: ignore[import-untyped]
        from google.protobuf.descriptor_pool import DescriptorPool  # type: ignore[import-untyped]
        from google.protobuf.message_factory import GetMessageClass  # type: ignore[import-untyped]
    except ImportError:
        raise ToolMissing("Sparkplug B needs the package protobuf: pip install 'eddy[knowledge]'") from None
    file = FileDescriptorProto(name="sparkplug", package="sparkplug", syntax="proto2")
    for message, fields in _MESSAGES.items():
        made = file.message_type.add(name=message)
        for declared in filter(None, fields.split(", ")):
            kind, name, number = declared.split()
            field = made.field.add(name=name, number=int(number), label=3 if kind[0] == "*" else 1)  # repeated, optional
            kind = kind.removeprefix("*")
            if kind in _MESSAGES:
                field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".sparkplug.{kind}"
            else:
                field.type = getattr(FieldDescriptorProto, f"TYPE_{kind.upper()}")
            if name.endswith("_value"):
                field.oneof_index = 0
        if made.field and made.field[-1].HasField("oneof_index"):
            made.oneof_decl.add(name="value")
    pool = DescriptorPool()  # of its own: others in this process may have the definition of Eclipse Tahu
    pool.AddSerializedFile(file.SerializeToString())
    return GetMessageClass(pool.FindMessageTypeByName("sparkplug.Payload"))


def parser() -> Callable[[bytes], Any]:
    """From bytes to a payload; raises Undecodable where they are none. Raises ToolMissing itself."""
    made = payload_class()
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    def parse(payload: bytes) -> Any:
        try:
            return made.FromString(payload)
        except DecodeError as error:
            raise Undecodable(f"the message is no payload of Sparkplug B: {str(error)[:200]}") from None

    return parse


def rebirth(now_ms: int) -> bytes:
    """The payload of the command that an edge node answers with its births (NCMD)."""
    metric = {"name": "Node Control/Rebirth", "timestamp": now_ms, "datatype": _BOOLEAN, "boolean_value": True}
    made: bytes = payload_class()(timestamp=now_ms, metrics=[metric]).SerializeToString()
    return made


def value_of(metric: Any, datatype: int, what: str) -> Any:
    """The value of a metric, as `eddy.links.plain.Plain` takes it.

    Args:
        metric: As protobuf gives it; one that is null has none.
        datatype: Of the metric itself or of its birth.
        what: The metric, for what is told.

    Raises:
        Undecodable: There is no value, it contradicts the datatype, or it is of one that is not decoded here.
    """
    if metric.is_null:
        return None
    field = metric.WhichOneof("value")
    if datatype == _TEMPLATE or field == "template_value":
        raise Undecodable(f"{what} is a template, which is not decoded: name with `value` the metrics that you want")
    if field is None:
        raise Undecodable(f"{what} has no value, and does not say that it is null")
    return _value(getattr(metric, field), field, datatype, what)


def shortest(number: float) -> Decimal | float:
    """A number of 32 bits as people write it: the shortest decimal of six digits or more that is that very number.

    >>> shortest(21.299999237060547)
    Decimal('21.3')
    """
    if not math.isfinite(number):
        return number
    texts = (f"{number:.{digits}g}" for digits in range(6, 10))
    return Decimal(next(text for text in texts if struct.unpack("f", struct.pack("f", float(text)))[0] == number))


def _value(raw: Any, field: str, datatype: int, what: str) -> Any:
    if datatype in _INTEGERS and field in _BITS:
        return _integer(raw, _BITS[field], datatype, what)
    if datatype not in _FIELDS and datatype not in _INTEGERS:
        raise Undecodable(f"{what} has datatype {datatype}, which is not decoded")
    if _FIELDS.get(datatype) != field:
        raise Undecodable(f"{what} has {field}, which does not go with its datatype {datatype}")
    if datatype == _DATASET:
        return _rows(raw, what)
    if datatype in _ARRAYS:
        return _items(raw, datatype, what)
    return shortest(raw) if datatype == _FLOAT else raw


def _integer(raw: int, carried: int, datatype: int, what: str) -> int:
    """Negative ones are in two's complement, of their own width or of the field that carries them: both are in use."""
    bits, signed = _INTEGERS[datatype]
    if raw < 1 << (bits - signed):
        return raw
    for width in (bits, carried) if signed else ():
        if (1 << width) - (1 << (bits - 1)) <= raw < 1 << width:
            return raw - (1 << width)
    raise Undecodable(f"{what} is {raw}, which its datatype {datatype} of {bits} bits cannot hold")


def _rows(found: Any, what: str) -> list[dict[str, Any]]:
    """A data set: a map for each row."""
    columns, types = list(found.columns), list(found.types)
    if len(columns) != len(types) or len(set(columns)) < len(columns) or found.num_of_columns not in (0, len(columns)):
        raise Undecodable(f"{what} is a data set whose columns, their names and types, are not as many, or one is there twice")
    _bounded(len(found.rows) * (1 + len(columns)), what)
    return [_row(row.elements, columns, types, f"{what}, row {number}") for number, row in enumerate(found.rows)]


def _row(cells: Sequence[Any], columns: list[str], types: list[int], what: str) -> dict[str, Any]:
    if len(cells) != len(columns):
        raise Undecodable(f"{what} has {len(cells)} elements, and there are {len(columns)} columns")
    made = {}
    for column, datatype, cell in zip(columns, types, cells, strict=True):
        field = cell.WhichOneof("value")
        made[column] = None if field is None else _value(getattr(cell, field), field, datatype, f"{what}, {column[:80]!r}")
    return made


def _items(raw: bytes, datatype: int, what: str) -> list[Any]:
    """An array: packed, the least significant byte first."""
    if datatype == _STRINGS:
        _bounded(raw.count(0), what)
        if raw and raw[-1]:
            raise Undecodable(f"{what} is an array of strings that does not end with a zero byte")
        return [text.decode() for text in raw[:-1].split(b"\0")] if raw else []
    if datatype == _BOOLEANS:
        count = int.from_bytes(raw[:4], "little")
        if len(raw) != 4 + (count + 7) // 8:
            raise Undecodable(f"{what} is an array of {count} booleans in {len(raw)} bytes: expected {4 + (count + 7) // 8}")
        _bounded(count, what)
        return [bool(raw[4 + n // 8] & 128 >> n % 8) for n in range(count)]
    kind = _ITEMS[datatype]
    size = struct.calcsize(f"<{kind}")
    if len(raw) % size:
        raise Undecodable(f"{what} is an array in {len(raw)} bytes, which is no multiple of {size}")
    _bounded(len(raw) // size, what)
    found = struct.unpack(f"<{len(raw) // size}{kind}", raw)
    return [shortest(number) for number in found] if datatype == _FLOATS else list(found)


def _bounded(count: int, what: str) -> None:
    """Before it is unpacked, so that little on the wire does not become much here."""
    if count > SAMPLE_BYTES:
        raise Undecodable(f"{what} has {count} items, which make a sample larger than {SAMPLE_BYTES} bytes: send less at once")
