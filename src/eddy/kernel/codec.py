"""Deterministic CBOR (RFC 8949 §4.2.1) for plain data: one value has one encoding, so bytes can be signed, hashed and compared.

Values: int in [-2**64, 2**64), bytes, str, list, dict with keys of int, str or bytes, bool, None; tuples are encoded like lists,
bytearrays, byte memoryviews and arrays like bytes (of an array those in memory: little-endian wherever this runs). Everything else is
refused in both directions: floats, tags, indefinite lengths, heads that are not the shortest, map keys out of order or double, invalid
UTF-8, more than 8 containers inside each other, bytes after the value.

Decoding memory is bounded by the input: a declared length is compared with the bytes that are there before anything is allocated.
"""

from array import array

from eddy.kernel.errors import CodecError

MAX_DEPTH = 8

UNSIGNED = 0
NEGATIVE = 1
BYTES = 2
TEXT = 3
ARRAY = 4
MAP = 5
_OTHER = 7

_FALSE = 0xF4
_TRUE = 0xF5
_NULL = 0xF6
_SIMPLE = {_FALSE: False, _TRUE: True, _NULL: None}


def _is_strict() -> bool:
    """Whether this interpreter takes as UTF-8 what RFC 3629 does; MicroPython lets overlong forms and surrogates pass."""
    for wrong in (b"\xc0\x80", b"\xe0\x80\x80", b"\xed\xa0\x80", b"\xf0\x80\x80\x80", b"\xf4\x90\x80\x80"):
        try:
            str(wrong, "utf-8")
            return False
        except UnicodeError:
            pass
    return True


_STRICT = _is_strict()


def encode(value: object) -> bytes:
    """The one encoding of `value`.

    Raises:
        CodecError: The value, or something inside, has no deterministic CBOR form here.
    """
    out = bytearray()
    _put(out, value, MAX_DEPTH)
    return bytes(out)


def decode(data: bytes | bytearray | memoryview, views: bool = False) -> object:
    """The value that `data` encodes: the exact inverse of `encode`.

    Args:
        data: The bytes.
        views: Byte strings are views into `data` instead of copies, but for keys of maps.

    Raises:
        CodecError: Not the deterministic encoding of a value; `.offset` says where.
    """
    view = memoryview(data)
    value, end = _take(view, 0, MAX_DEPTH, views)
    if end != len(view):
        raise CodecError("%d bytes after the value" % (len(view) - end), end)
    return value


def head(view: bytes | bytearray | memoryview, offset: int) -> tuple[int, int, int]:
    """Read one item's head without its content, for readers that must not copy.

    Returns:
        (major type, argument, offset after the head). Of strings and containers the argument is the length, checked against what is left
        of the input (in bytes or items; a map's pairs count twice).

    Raises:
        CodecError: Truncated, not the shortest, indefinite, or longer than the input.
    """
    size = len(view)
    if offset >= size:
        raise CodecError("the input ends inside a value", offset)
    first = view[offset]
    major = first >> 5
    argument = first & 31
    at = offset + 1
    if argument >= 24:
        if argument > 27:
            raise CodecError("indefinite length or reserved head 0x%02x" % first, offset)
        width = 1 << (argument - 24)
        if at + width > size:
            raise CodecError("the input ends inside a head", offset)
        shortest = 24 if width == 1 else 1 << (4 * width)
        argument = int.from_bytes(view[at : at + width], "big")
        at += width
        if argument < shortest and major != _OTHER:
            raise CodecError("head is not the shortest", offset)
    if BYTES <= major <= MAP and argument > (size - at if major != MAP else (size - at) // 2):
        raise CodecError("declared length %d is more than the input holds" % argument, offset)
    return major, argument, at


def joined(value: "list[object]", at: int, part: bytes = b"") -> bytes:
    """As `encode` of a list with a byte string at index `at`, which is copied once instead of three times: it may be a large one.

    Args:
        part: What is at that index is encoded already, and this is it; it may be no byte string then.
    """
    out = bytearray()
    _put_head(out, ARRAY, len(value))
    for item in value[:at]:
        _put(out, item, MAX_DEPTH - 1)
    string = part
    if not part:
        string = value[at]  # type: ignore[assignment]
        _put_head(out, BYTES, len(string))
    rest = bytearray()
    for item in value[at + 1 :]:
        _put(rest, item, MAX_DEPTH - 1)
    return b"".join((out, string, rest))


def _put(out: bytearray, value: object, depth: int) -> None:
    if isinstance(value, (list, tuple, dict)):
        if depth == 0:
            raise CodecError("more than %d containers inside each other" % MAX_DEPTH)
        if isinstance(value, dict):
            _put_map(out, value, depth - 1)
        else:
            _put_list(out, value, depth - 1)
    elif isinstance(value, str):
        _put_text(out, value)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        _put_bytes(out, value)
    elif isinstance(value, array):
        _put_bytes(out, bytes(value))
    else:
        _put_atom(out, value)


def _put_list(out: bytearray, value: "list[object] | tuple[object, ...]", depth: int) -> None:
    _put_head(out, ARRAY, len(value))
    for item in value:
        # Most of a state, and it is written while a function waits.
        if type(item) is int and 0 <= item < 1 << 24:
            if item < 24:
                out.append(item)
            elif item < 1 << 8:
                out.extend((24, item))
            elif item < 1 << 16:
                out.extend((25, item >> 8, item & 255))
            else:
                out.extend((26, 0, item >> 16, item >> 8 & 255, item & 255))
        elif type(item) is bytes and len(item) < 24:
            out.append(BYTES << 5 | len(item))
            out.extend(item)
        else:
            _put(out, item, depth)


def _put_bytes(out: bytearray, value: bytes | bytearray | memoryview) -> None:
    raw = bytes(value)
    if len(raw) != len(value):
        raise CodecError("memoryview of items wider than a byte")
    _put_head(out, BYTES, len(raw))
    out.extend(raw)


def _put_atom(out: bytearray, value: object) -> None:
    if value is None:
        out.append(_NULL)
    elif isinstance(value, bool):  # before the integers, which booleans are as well
        out.append(_TRUE if value else _FALSE)
    elif isinstance(value, int):
        if value >= 0:
            _put_head(out, UNSIGNED, value)
        else:
            _put_head(out, NEGATIVE, -1 - value)
    else:
        raise CodecError("%s has no form here; use int, bytes, str, list, dict, bool or None" % type(value).__name__)


def _put_map(out: bytearray, value: dict[object, object], depth: int) -> None:
    pairs = []
    for key in value:
        if isinstance(key, bool) or not isinstance(key, (int, str, bytes)):
            raise CodecError("%s as a map key; use int, str or bytes" % type(key).__name__)
        encoded = bytearray()
        _put(encoded, key, 0)
        pairs.append((bytes(encoded), key))
    pairs.sort(key=_first)
    _put_head(out, MAP, len(pairs))
    for encoded_key, key in pairs:
        out.extend(encoded_key)
        _put(out, value[key], depth)


def _first(pair: tuple[bytes, object]) -> bytes:
    return pair[0]


def _put_text(out: bytearray, value: str) -> None:
    try:
        raw = value.encode()
    except UnicodeError:  # CPython; MicroPython encodes surrogates without a word
        raise CodecError("text with a surrogate") from None
    if not (_STRICT or _is_utf8(raw)):
        raise CodecError("text with a surrogate")
    _put_head(out, TEXT, len(raw))
    out.extend(raw)


def _put_head(out: bytearray, major: int, argument: int) -> None:
    major <<= 5
    if argument < 24:
        out.append(major | argument)
        return
    if argument < 1 << 8:
        extra, width = 24, 1
    elif argument < 1 << 16:
        extra, width = 25, 2
    elif argument < 1 << 32:
        extra, width = 26, 4
    elif argument < 1 << 64:
        extra, width = 27, 8
    else:
        raise CodecError("integer beyond 64 bits")
    out.append(major | extra)
    out.extend(argument.to_bytes(width, "big"))


def _take(view: memoryview, offset: int, depth: int, views: bool) -> tuple[object, int]:
    major, argument, at = head(view, offset)
    if major <= NEGATIVE:
        return (argument if major == UNSIGNED else -1 - argument), at
    if major == BYTES:
        part = view[at : at + argument]
        return (part if views else bytes(part)), at + argument
    if major == TEXT:
        raw = bytes(view[at : at + argument])
        try:
            if _STRICT or _is_utf8(raw):
                return str(raw, "utf-8"), at + argument
        except UnicodeError:
            pass
        raise CodecError("invalid UTF-8", offset)
    if major <= MAP:
        if depth == 0:
            raise CodecError("more than %d containers inside each other" % MAX_DEPTH, offset)
        return (_take_array if major == ARRAY else _take_map)(view, argument, at, depth - 1, views)
    first = view[offset]
    if first not in _SIMPLE:
        raise CodecError("0x%02x starts a float, tag or simple value, which are not used here" % first, offset)
    return _SIMPLE[first], at


def _take_array(view: memoryview, length: int, at: int, depth: int, views: bool) -> tuple[object, int]:
    items: list[object] = []
    end = len(view) - 4
    for _ in range(length):
        first = view[at] if at < end else _OTHER << 5
        if first < 24:  # the short forms of integers, as in `_put_list`
            items.append(first)
            at += 1
        elif first == 25 and view[at + 1]:
            items.append(view[at + 1] << 8 | view[at + 2])
            at += 3
        elif first == 26 and not view[at + 1] and view[at + 2]:
            items.append(view[at + 2] << 16 | view[at + 3] << 8 | view[at + 4])
            at += 5
        else:
            item, at = _take(view, at, depth, views)
            items.append(item)
    return items, at


def _take_map(view: memoryview, length: int, at: int, depth: int, views: bool) -> tuple[object, int]:
    result = {}
    previous = b""
    for _ in range(length):
        start = at
        if at < len(view) and view[at] >> 5 > TEXT:
            raise CodecError("map key that is neither int, str nor bytes", start)
        key, at = _take(view, at, 0, False)
        encoded = bytes(view[start:at])
        # The empty string is below every key, and bytewise order forbids duplicates as well.
        if encoded <= previous:
            raise CodecError("map keys out of order or double", start)
        previous = encoded
        result[key], at = _take(view, at, depth, views)
    return result, at


def _is_utf8(raw: bytes) -> bool:
    """Whether `raw` is UTF-8 by RFC 3629."""
    at = 0
    size = len(raw)
    while at < size:
        first = raw[at]
        at += 1
        if first < 0x80:
            continue
        if 0xC2 <= first < 0xE0:
            more, low, high = 1, 0x80, 0xBF
        elif 0xE0 <= first < 0xF0:
            more = 2
            low = 0xA0 if first == 0xE0 else 0x80
            high = 0x9F if first == 0xED else 0xBF
        elif 0xF0 <= first < 0xF5:
            more = 3
            low = 0x90 if first == 0xF0 else 0x80
            high = 0x8F if first == 0xF4 else 0xBF
        else:
            return False
        if at + more > size or not low <= raw[at] <= high:
            return False
        for i in range(at + 1, at + more):
            if raw[i] & 0xC0 != 0x80:
                return False
        at += more
    return True
