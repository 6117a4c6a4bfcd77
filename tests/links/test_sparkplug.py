"""Sparkplug B: births, aliases, datatypes and deaths become samples, or are told; what was missed is asked for."""

import builtins
import socket
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from edge import KINDS, Metric, payload, tahu
from hypothesis import example, given, settings
from hypothesis import strategies as st

import eddy.links.sparkplug as room
from eddy.errors import SettingError, ToolMissing, Undecodable
from eddy.kernel.codec import decode, encode
from eddy.links import sparkplug_payload
from eddy.links.decoders import SHOWN_BYTES, Form
from eddy.links.intake import Opened
from eddy.links.mqtt_in import Subscribe
from eddy.links.plain import SAMPLE_BYTES
from eddy.links.senders import Senders
from eddy.links.sparkplug import Sparkplug

MS = 1_000_000
NOON = 1_700_000_000_000 * MS
NBIRTH, NDATA, NDEATH = (f"spBv1.0/plant/{kind}/press" for kind in ("NBIRTH", "NDATA", "NDEATH"))
DBIRTH, DDATA, DDEATH = (f"spBv1.0/plant/{kind}/press/oven" for kind in ("DBIRTH", "DDATA", "DDEATH"))
TOPICS = (NBIRTH, NDATA, NDEATH, DBIRTH, DDATA, DDEATH, "spBv1.0/plant/NCMD/press", "spBv1.0/STATE/host", "spBv1.0/plant/NDATA", "a/b", "")


class Asked:
    """A decoder, what it has asked, and a clock that is set by hand."""

    def __init__(self, **form: Any) -> None:
        self.commands: list[tuple[str, bytes]] = []
        self.now_s = 0.0
        self.decoder = Sparkplug(ask=lambda topic, command: self.commands.append((topic, command)), clock=lambda: self.now_s, **form)

    def hear(
        self, topic: str, *metrics: Metric, seq: int | None = None, sent_ms: int | None = None
    ) -> list[tuple[int | None, str | None, Any]]:
        """(time in ns, origin, value)."""
        return [tuple(one[:3]) for one in self.decoder.decode(payload(*metrics, seq=seq, sent_ms=sent_ms).SerializeToString(), NOON, topic)]


def values(topic: str, *metrics: Metric, **form: Any) -> list[Any]:
    return [value for _, _, value in Asked(**form).hear(topic, *metrics)]


def raw(datatype: int, **fields: Any) -> bytes:
    """A payload with one metric, whatever it holds."""
    made = tahu.Payload()
    made.metrics.add(name="m", datatype=datatype, **fields)
    return bytes(made.SerializeToString())


def of(data: bytes, **form: Any) -> Any:
    """The value of its only metric."""
    (reading,) = Sparkplug(**form).decode(data, NOON, NDATA)
    return reading.value["m"]


# Datatypes

SIGNED = {"Int8": 8, "Int16": 16, "Int32": 32, "Int64": 64}
UNSIGNED = {"UInt8": 8, "UInt16": 16, "UInt32": 32, "UInt64": 64, "DateTime": 63}
SENT: dict[str, st.SearchStrategy[Any]] = {
    **{kind: st.integers(-(1 << bits - 1), (1 << bits - 1) - 1) for kind, bits in SIGNED.items()},
    **{kind: st.integers(0, (1 << bits) - 1) for kind, bits in UNSIGNED.items()},
    "Double": st.integers(-(1 << 53), 1 << 53).map(float),
    "Float": st.integers(-(1 << 24), 1 << 24).map(float),
    "Boolean": st.booleans(),
    **dict.fromkeys(["String", "Text", "UUID"], st.text(max_size=20)),
    **dict.fromkeys(["Bytes", "File"], st.binary(max_size=20)),
}


@pytest.mark.parametrize("kind", SENT)
@settings(deadline=None)
@given(st.data())
def test_what_tahu_writes_is_read(kind: str, data: st.DataObject) -> None:
    sent = data.draw(st.none() | SENT[kind])
    assert values(NDATA, ("a/b c", None, kind, sent, 5)) == [{"a/b c": sent}]


@settings(deadline=None)
@given(st.sampled_from(sorted(SIGNED)), st.integers(-128, 127))
def test_a_negative_number_may_fill_the_field_that_carries_it(kind: str, number: int) -> None:
    (whole,) = struct.unpack("<I", struct.pack("<i", number))
    (long,) = struct.unpack("<Q", struct.pack("<q", number))
    carried: dict[str, Any] = {"long_value": long} if kind == "Int64" else {"int_value": whole}
    assert of(raw(KINDS[kind], **carried)) == of(raw(KINDS[kind], long_value=long)) == number


@settings(deadline=None)
@given(st.integers(-(10**6) + 1, 10**6 - 1), st.integers(-4, 6))
@example(213, 1)
@example(859040, -4)  # whose nearest float is another number of seven digits
def test_a_float_of_six_digits_is_the_decimal_that_was_meant(digits: int, point: int) -> None:
    number, scale = float(Decimal(digits).scaleb(-point)), 10 ** (max(point, 0) + 3)
    assert of(raw(KINDS["Float"], float_value=number), scale=scale) == Decimal(digits).scaleb(-point) * scale
    assert of(raw(30, bytes_value=tahu.convert_to_packed_float_array([number])), scale=scale) == [Decimal(digits).scaleb(-point) * scale]


@settings(deadline=None)
@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
@example(120890.8359375)  # takes nine
def test_the_shortest_decimal_of_a_float_is_that_very_float(number: float) -> None:
    text = sparkplug_payload.shortest(number)
    assert struct.pack("<f", float(text)) == struct.pack("<f", number) and len(Decimal(text).as_tuple().digits) <= 9


def test_without_a_scale_no_decimal_is_lost_in_silence() -> None:
    for kind in ("Float", "Double"):
        assert values(NDATA, ("t", None, kind, 21.3, 5), scale=10) == [{"t": 213}]
        with pytest.raises(Undecodable, match=r"t is 21\.3: say with `scale` how many decimals are kept"):
            values(NDATA, ("t", None, kind, 21.3, 5))


PACKED = {
    22: "int8",
    23: "int16",
    24: "int32",
    25: "int64",
    26: "uint8",
    27: "uint16",
    28: "uint32",
    29: "uint64",
    31: "double",
    34: "datetime",
}


@pytest.mark.parametrize("datatype", PACKED)
@settings(deadline=None)
@given(st.data())
def test_arrays_that_tahu_packs_are_lists(datatype: int, data: st.DataObject) -> None:
    numbers = data.draw(st.lists(SENT[list(KINDS)[1 + (datatype - 22)] if datatype < 30 else "Int32"], max_size=20))
    packed = getattr(tahu, f"convert_to_packed_{PACKED[datatype]}_array")(numbers)
    assert of(raw(datatype, bytes_value=packed)) == numbers


@pytest.mark.parametrize(
    ("datatype", "packed", "items"),
    [
        (23, "D08A3075", [-30000, 30000]),
        (24, "FFFFFFFFFAAFCB12", [-1, 315338746]),
        (25, "CE0672AC189CBAC4C4BA9C18AC7206CE", [-4270929666821191986, -3601064768563266876]),
        (27, "1E0088CC", [30, 52360]),
        (29, "3400000000000000D99E02D1B27637E4", [52, 16444743074749521625]),
        (32, "0C00000034D0", [False, False, True, True, False, True, False, False, True, True, False, True]),
        (32, "00000000", []),
        (33, "4142430068656C6C6F00", ["ABC", "hello"]),
        (33, "00C3A400", ["", "ä"]),
        (33, "", []),
        (34, "C7D0907524010000B8BAB89781010000", [1256102875335, 1656107875000]),
    ],
)
def test_the_arrays_of_the_specification_are_lists(datatype: int, packed: str, items: list[Any]) -> None:
    assert of(raw(datatype, bytes_value=bytes.fromhex(packed))) == items


def test_a_data_set_is_a_list_of_maps() -> None:
    made = tahu.Payload()
    table = tahu.initDatasetMetric(
        made, "m", None, ["n", "t", "on", "who"], [KINDS[kind] for kind in ("Int8", "Float", "Boolean", "String")]
    )
    for number, text in ((-3, "a"), (4, "b")):
        row = table.rows.add()
        for field in ({"int_value": number % 256}, {"float_value": 0.7}, {"boolean_value": number < 0}, {"string_value": text}):
            row.elements.add(**field)
    table.rows[1].elements[0].ClearField("int_value")
    read = of(made.SerializeToString(), scale=10)
    assert read == [{"n": -30, "t": 7, "on": True, "who": "a"}, {"n": None, "t": 7, "on": False, "who": "b"}]


@pytest.mark.parametrize(
    ("datatype", "fields", "what"),
    [
        (1, {"int_value": 300}, "metric 'm' is 300, which its datatype 1 of 8 bits cannot hold"),
        (1, {"int_value": (1 << 32) - 129}, "cannot hold"),
        (5, {"int_value": 256}, "cannot hold"),
        (7, {"long_value": 1 << 32}, "cannot hold"),
        (3, {"string_value": "3"}, "has string_value, which does not go with its datatype 3"),
        (9, {"double_value": 1.0}, "has double_value"),
        (12, {"int_value": 3}, "has int_value"),
        (11, {"int_value": 1}, "has int_value"),
        (16, {"bytes_value": b""}, "has bytes_value"),
        (9, {"float_value": float("nan")}, "m is nan, which is no number"),
        (12, {}, "has no value, and does not say that it is null"),
        (20, {"int_value": 3}, "has datatype 20, which is not decoded"),
        (35, {"bytes_value": b""}, "has datatype 35"),
        (12, {"extension_value": {}}, "has extension_value"),
        (19, {"template_value": {}}, "metric 'm' is a template"),
        (3, {"template_value": {}}, "metric 'm' is a template"),
        (23, {"bytes_value": b"abc"}, "no multiple of 2"),
        (32, {"bytes_value": b"\x09\0\0\0\xff"}, "9 booleans in 5 bytes: expected 6"),
        (32, {"bytes_value": b"\0"}, "expected 4"),
        (33, {"bytes_value": b"abc"}, "does not end with a zero byte"),
        (33, {"bytes_value": b"\xff\0"}, "no UTF-8"),
        (22, {"bytes_value": bytes(20_000)}, "has 20000 items"),
        (33, {"bytes_value": bytes(20_000)}, "has 20000 items"),
        (32, {"bytes_value": (160_000).to_bytes(4, "little") + bytes(20_000)}, "has 160000 items"),
        (17, {"bytes_value": bytes(20_000)}, "larger than 16384 bytes"),
        (16, {"dataset_value": {"columns": ["a"]}}, "not as many"),
        (16, {"dataset_value": {"columns": ["a", "a"], "types": [1, 1]}}, "one is there twice"),
        (16, {"dataset_value": {"columns": ["a"], "types": [1], "num_of_columns": 2}}, "not as many"),
        (16, {"dataset_value": {"columns": ["a"], "types": [1], "rows": [{}]}}, "row 0 has 0 elements, and there are 1 columns"),
        (16, {"dataset_value": {"columns": ["a"], "types": [5], "rows": [{"elements": [{"int_value": 256}]}]}}, "row 0, 'a' is 256"),
        (16, {"dataset_value": {"rows": [{}] * 20_000}}, "has 20000 items"),
    ],
)
def test_what_contradicts_its_datatype_is_told(datatype: int, fields: dict[str, Any], what: str) -> None:
    with pytest.raises(Undecodable) as told:
        of(raw(datatype, **fields))
    assert what in str(told.value)


# Samples


def test_metrics_of_a_time_are_a_sample_and_those_without_have_that_of_the_message_or_none() -> None:
    made = payload(
        ("a", None, "Int32", 1, 100), ("b", None, "Int32", 2, 200), ("c", None, "Int32", 3, 100), ("d", None, "Int32", 4, 0), sent_ms=300
    )
    made.metrics[3].ClearField("timestamp")
    decoder = Sparkplug()
    want = [
        (100 * MS, "plant/press/oven", {"a": 1, "c": 3}),
        (200 * MS, "plant/press/oven", {"b": 2}),
        (300 * MS, "plant/press/oven", {"d": 4}),
    ]
    assert [tuple(one[:3]) for one in decoder.decode(made.SerializeToString(), NOON, DDATA)] == want
    made.ClearField("timestamp")
    assert decoder.decode(made.SerializeToString(), NOON, DDATA)[2].time_ns is None
    ((at_ns, value),), _ = Opened(decoder, lambda: NOON).open(raw(3, int_value=1), None, NDATA)
    assert (at_ns, value) == (NOON, {"from": "plant/press", "value": {"m": 1}})


def test_a_metric_that_comes_twice_at_a_time_is_there_twice() -> None:
    metrics: list[Metric] = [(name, None, "Int32", number, 5) for number, name in enumerate("abab")]
    assert values(NDATA, *metrics) == [{"a": 0, "b": 1}, {"a": 2, "b": 3}]


def test_a_birth_of_more_than_a_sample_holds_is_several() -> None:
    metrics: list[Metric] = [(f"folder/{number:04}/{'x' * 60}", number, "Int32", number, 5) for number in range(1000)]
    found = values(DBIRTH, *metrics)
    assert len(found) > 1 and all(len(encode(one)) <= SAMPLE_BYTES for one in found)
    together: dict[str, Any] = {}
    for one in found:
        assert not together.keys() & one.keys()
        together |= one
    assert together == {"online": True, **{name: value for name, _, _, value, _ in metrics}}


def test_births_and_deaths_say_who_is_online() -> None:
    asked = Asked()
    assert asked.hear(NBIRTH, ("a", 1, "Int32", 7, 100), seq=0, sent_ms=100) == [(100 * MS, "plant/press", {"online": True, "a": 7})]
    assert asked.hear(DBIRTH, ("b", 2, "Int32", 8, 200), seq=1, sent_ms=300) == [
        (300 * MS, "plant/press/oven", {"online": True}),
        (200 * MS, "plant/press/oven", {"b": 8}),
    ]
    assert asked.hear(DDEATH, seq=2, sent_ms=400) == [(400 * MS, "plant/press/oven", {"online": False})]
    assert asked.hear(NDEATH, ("bdSeq", None, "Int64", 0, 50), sent_ms=50) == [(None, "plant/press", {"online": False})]
    assert not asked.commands


def test_the_death_of_a_session_before_the_last_birth_says_nothing() -> None:
    asked = Asked(value="online")
    for session in (3, 4):
        assert asked.hear(NBIRTH, ("bdSeq", None, "Int64", session, 1)) == [(None, "plant/press", True)]
    assert asked.hear(NDEATH, ("bdSeq", None, "Int64", 3, 1)) == []
    assert asked.hear(NDEATH, ("bdSeq", None, "UInt64", 4, 1)) == [(None, "plant/press", False)]
    assert asked.hear(NDEATH) == [(None, "plant/press", False)]


def test_value_names_the_metrics_that_are_wanted_and_what_is_not_need_not_be_decoded() -> None:
    made = payload(("a", None, "Int32", 1, 5), ("b", None, "Double", 0.5, 5), ("c", None, "Int32", 3, 6))
    tahu.initTemplateMetric(made, "types/Motor", None, None)
    data = made.SerializeToString()
    with pytest.raises(Undecodable, match=r"b is 0\.5"):
        Sparkplug().decode(data, NOON, DBIRTH)
    with pytest.raises(Undecodable, match="metric 'types/Motor' is a template, which is not decoded: name with `value`"):
        Sparkplug(scale=10).decode(data, NOON, DBIRTH)
    assert [one.value for one in Sparkplug(value="a").decode(data, NOON, DBIRTH)] == [1]
    assert [one.value for one in Sparkplug(value=["a", "d", "c"]).decode(data, NOON, DBIRTH)] == [{"a": 1}, {"c": 3}]
    assert Sparkplug(value=["d"]).decode(data, NOON, DBIRTH) == []


def test_properties_and_bodies_are_passed_over() -> None:
    made = payload(("a", None, "Int32", 1, 5))
    made.metrics[0].properties.keys.append("Quality")
    made.metrics[0].properties.values.add(type=3, int_value=500)
    made.metrics[0].metadata.description = "x"
    made.metrics[0].is_historical = True
    made.uuid, made.body = "u", b"\xff"
    assert [one.value for one in Sparkplug().decode(made.SerializeToString(), NOON, NDATA)] == [{"a": 1}]


def test_a_key_is_all_of_a_sample() -> None:
    def key(value: int, at_ms: int) -> Any:
        (reading,) = Sparkplug(unique=".").decode(payload(("a", None, "Int32", value, at_ms)).SerializeToString(), NOON, NDATA)
        return reading.key

    assert key(1, 5) == key(1, 5) and len({key(1, 5), key(2, 5), key(1, 6)}) == 3
    with pytest.raises(SettingError, match="has no such key"):
        Sparkplug(unique="id")


def test_who_may_send_is_told_by_group_edge_and_device() -> None:
    opened = Opened(Sparkplug(), senders=Senders(["plant/press/*"]))
    data = payload(("a", None, "Int32", 1, 5)).SerializeToString()
    assert opened.open(data, None, DDATA) == ([(5 * MS, {"from": "plant/press/oven", "value": {"a": 1}})], [])
    ((_, shown),), faults = opened.open(data, None, NDATA)
    assert shown["from"] == "plant/press" and faults == ["origin plant/press is not allowed here: name it in `allow` of this source"]


@pytest.mark.parametrize("topic", ["spBv1.0/plant/NCMD/press", "spBv1.0/plant/DCMD/press/oven", "spBv1.0/STATE/host"])
def test_commands_and_states_hold_no_samples(topic: str) -> None:
    assert Sparkplug().decode(b"{}", NOON, topic) == []


@pytest.mark.parametrize(
    "topic",
    [
        *("a/b", "spAv1.0/plant/NDATA/press", "spBv1.0/plant/NDATA", "spBv1.0/plant/NDATA/press/oven", "spBv1.0/plant/DDATA/press"),
        *("spBv1.0//NDATA/press", "spBv1.0/plant/NDATA/", "spBv1.0/plant/OTHER/press", "STATE/host"),
        f"spBv1.0/plant/NDATA/{'e' * 1024}",
    ],
)
def test_other_topics_and_other_payloads_go_to_quarantine_with_reason_and_topic(topic: str) -> None:
    for data, where, reason in ((b"", topic, "is none of Sparkplug B"), (b"{}", NDATA, "is no payload of Sparkplug B")):
        ((at_ns, shown),), faults = Opened(Sparkplug(), lambda: NOON).open(data, None, where)
        assert (
            at_ns == NOON and shown == {"quarantine": faults[0], "payload": data, "size": len(data), "from": where} and reason in faults[0]
        )


# Aliases and rebirths


def test_an_alias_stands_for_what_the_births_of_its_edge_node_said() -> None:
    asked = Asked(scale=10)
    asked.hear(NBIRTH, ("up", 1, "Int8", 0, 1), seq=0)
    asked.hear(DBIRTH, ("hot", 2, "Float", 0.5, 1), ("byte", None, "Int8", 0, 1), seq=1)
    made = tahu.Payload(seq=2)
    made.metrics.add(alias=2, float_value=21.3)
    made.metrics.add(name="byte", int_value=255)
    (reading,) = asked.decoder.decode(made.SerializeToString(), NOON, DDATA)
    assert reading.value == {"hot": 213, "byte": -10}
    assert asked.hear("spBv1.0/plant/NBIRTH/other", ("up", 2, "Int8", 0, 1), seq=0)
    assert asked.hear(NDATA, (None, 1, "Int8", -3, 1), seq=3) == [(MS, "plant/press", {"up": -30})]
    assert not asked.commands
    asked.hear(NBIRTH, ("up", 7, "Int8", 0, 1), seq=0)
    for alias in (1, 2):
        with pytest.raises(Undecodable, match=f"^alias {alias} of plant/press is not known: its birth was not heard$"):
            asked.hear(NDATA, (None, alias, "Int8", 1, 1))


def test_a_birth_that_cannot_be_stored_says_all_the_same_what_aliases_stand_for() -> None:
    asked = Asked()
    with pytest.raises(Undecodable):
        asked.hear(NBIRTH, ("a", 1, "Double", 0.5, 1), ("b", 2, "Int8", 0, 1))
    assert asked.hear(NDATA, (None, 2, "Int8", 4, 1)) == [(MS, "plant/press", {"b": 4})]


def test_who_is_not_known_is_asked_for_a_rebirth_once_in_ten_seconds() -> None:
    asked = Asked()

    def ask(topic: str = DDATA) -> int:
        made = tahu.Payload()
        made.metrics.add(alias=9, int_value=1)
        with pytest.raises(Undecodable, match="not known"):
            asked.decoder.decode(made.SerializeToString(), NOON, topic)
        return len(asked.commands)

    assert [ask(), ask(), ask("spBv1.0/plant/NDATA/other")] == [1, 1, 2]
    asked.now_s = 9.9
    assert ask() == 2
    asked.now_s = 10.0
    assert ask() == 3
    assert [topic for topic, _ in asked.commands] == [f"spBv1.0/plant/NCMD/{edge}" for edge in ("press", "other", "press")]
    command = tahu.Payload.FromString(asked.commands[0][1])
    want = payload(("Node Control/Rebirth", None, "Boolean", True, NOON // MS), sent_ms=NOON // MS)
    assert command == want and not command.HasField("seq")


def test_a_metric_without_its_datatype_is_not_guessed() -> None:
    asked = Asked()
    made = tahu.Payload()
    made.metrics.add(name="a", int_value=255)
    with pytest.raises(Undecodable, match="metric 'a' of plant/press comes without its datatype: its birth was not heard"):
        asked.decoder.decode(made.SerializeToString(), NOON, NDATA)
    assert len(asked.commands) == 1
    made.metrics[0].ClearField("name")
    with pytest.raises(Undecodable, match="a metric of plant/press has a name of 0 characters"):
        asked.decoder.decode(made.SerializeToString(), NOON, NDATA)


def test_what_is_null_needs_no_datatype() -> None:
    assert [
        one.value for one in Sparkplug().decode(bytes(tahu.Payload(metrics=[{"name": "a", "is_null": True}]).SerializeToString()), 0, NDATA)
    ] == [{"a": None}]


def test_a_name_that_is_too_long_is_not_remembered() -> None:
    asked = Asked()
    with pytest.raises(Undecodable, match="a metric of plant/press has a name of 1025 characters"):
        asked.hear(NBIRTH, ("x" * 1025, 1, "Int8", 1, 1))
    with pytest.raises(Undecodable, match="alias 1 of plant/press is not known"):
        asked.hear(NDATA, (None, 1, "Int8", 1, 1))


def test_nobody_is_asked_where_that_is_not_wanted() -> None:
    decoder = Sparkplug()
    with pytest.raises(Undecodable, match="alias 9"):
        decoder.decode(payload((None, 9, "Int8", 1, 1)).SerializeToString(), NOON, NDATA)


def test_a_number_that_is_missing_is_counted_and_asked_for() -> None:
    asked = Asked()

    def hear(topic: str, seq: int | None) -> tuple[int, int]:
        assert asked.hear(topic, ("a", None, "Int8", 1, 1), seq=seq)
        return asked.decoder.jumps, len(asked.commands)

    assert hear(NDATA, 17) == (0, 0)  # whatever came before it, was before us
    assert {hear(topic, seq % 256) for seq, topic in enumerate([NDATA, DDATA] * 200, 18)} == {(0, 0)}
    assert hear(NDATA, (17 + 400 + 2) % 256) == (1, 1)
    assert hear(NBIRTH, 0) == (1, 1)
    assert hear(NDEATH, None) == (1, 1)
    assert [hear(DBIRTH, 1), hear(DDEATH, 2), hear(NDATA, None), hear(NDATA, 3)] == [(1, 1)] * 4
    asked.now_s = 10.0
    assert [hear(DDATA, 3), hear("spBv1.0/plant/NDATA/other", 9), hear(DDATA, 4)] == [(2, 2)] * 3


def test_what_is_remembered_is_bounded_and_who_was_silent_for_longest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "NODES", 2)
    monkeypatch.setattr(room, "METRICS", 5)
    asked = Asked()

    def birth(edge: str, metrics: int) -> None:
        asked.hear(f"spBv1.0/g/NBIRTH/{edge}", *[(f"m{n}", n, "Int8", n, 1) for n in range(metrics)])

    def knows(edge: str) -> bool:
        try:
            return asked.hear(f"spBv1.0/g/NDATA/{edge}", (None, 0, "Int8", 1, 1)) == [(MS, f"g/{edge}", {"m0": 1})]
        except Undecodable:
            return False

    birth("a", 1)
    birth("b", 1)
    assert knows("a")
    birth("c", 1)
    assert [knows("a"), knows("c")] == [True, True]
    assert not knows("b")  # which is remembered from now on, so that it is not asked all the time; a is forgotten
    assert not knows("a")
    birth("c", 4)
    birth("c", 4)  # counts once
    birth("d", 1)
    assert [knows("c"), knows("d")] == [True, True]
    birth("d", 2)
    assert [knows("d"), knows("c")] == [True, False]
    before = len(asked.commands)
    for _ in range(3):
        birth("e", 6)
        assert not knows("e")
    assert len(asked.commands) == before + 1  # it cannot help it
    birth("e", 5)
    assert knows("e")


# Whatever comes

metrics = st.lists(
    st.builds(
        lambda fields, value: fields | value,
        st.fixed_dictionaries(
            {},
            optional={
                "name": st.sampled_from(["", "a", "bdSeq", "online", "x" * 1100]),
                "alias": st.integers(0, 3) | st.just((1 << 64) - 1),
                "timestamp": st.integers(0, 5) | st.integers(0, (1 << 64) - 1),
                "datatype": st.integers(0, 36),
                "is_null": st.booleans(),
            },
        ),
        st.one_of(
            st.just({}),
            st.fixed_dictionaries({"int_value": st.integers(0, (1 << 32) - 1)}),
            st.fixed_dictionaries({"long_value": st.integers(0, (1 << 64) - 1)}),
            st.fixed_dictionaries({"float_value": st.floats(width=32)}),
            st.fixed_dictionaries({"double_value": st.floats()}),
            st.fixed_dictionaries({"boolean_value": st.booleans()}),
            st.fixed_dictionaries({"string_value": st.text(max_size=5)}),
            st.fixed_dictionaries({"bytes_value": st.binary(max_size=9)}),
            st.just({"dataset_value": {"columns": ["a"], "types": [9], "rows": [{"elements": [{"float_value": 1.5}]}, {}]}}),
            st.just({"template_value": {"version": "1"}}),
        ),
    ),
    max_size=4,
)


def serialized(sent_ms: int | None, seq: int | None, fields: list[dict[str, Any]]) -> bytes:
    return bytes(tahu.Payload(timestamp=sent_ms, seq=seq, metrics=fields).SerializeToString())


payloads = st.builds(serialized, st.none() | st.integers(0, 9), st.none() | st.integers(0, (1 << 64) - 1), metrics)


def damaged(data: bytes, at: int, instead: bytes) -> bytes:
    at = at % (len(data) + 1)
    return data[:at] + instead + data[at + len(instead) :]


whatever = st.one_of(payloads, st.binary(max_size=60), st.builds(damaged, payloads, st.integers(0, 100), st.binary(max_size=3)))


@pytest.mark.parametrize("form", [{"scale": 10, "unique": "."}, {"value": "a"}, {}], ids=str)
@settings(max_examples=150, deadline=None)
@given(messages=st.lists(st.tuples(st.sampled_from(TOPICS), whatever), min_size=1, max_size=4))
def test_any_bytes_are_samples_that_a_log_can_hold_or_told_to_be_none(form: dict[str, Any], messages: list[tuple[str, bytes]]) -> None:
    asked = Asked(**form)
    opened = Opened(asked.decoder, lambda: NOON)
    for topic, data in messages:
        samples, faults = opened.open(data, topic, topic)
        if faults:
            ((_, shown),) = samples
            assert (shown["quarantine"], shown["payload"], shown["from"]) == (faults[0], data[:SHOWN_BYTES], topic) and faults[0]
        for at_ns, value in samples:
            assert abs(at_ns) < 1 << 62 and (faults or len(encode(value["value"])) <= SAMPLE_BYTES)
        entry = [0, [list(sample) for sample in samples], 0]
        assert decode(encode(entry)) == entry


def test_more_metrics_than_a_message_may_hold_are_told_before_they_are_looked_at() -> None:
    with pytest.raises(Undecodable, match="holds 65537 metrics"):
        Sparkplug().decode(b"\x12\x00" * 65_537, NOON, NDATA)


# The driver


def test_other_forms_are_not_bent_and_other_drivers_do_not_know_it() -> None:
    with pytest.raises(SettingError, match="format 'sparkplug'"):
        Form(format="sparkplug")


def test_the_package_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def lacking(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("google"):
            raise ImportError(name)
        return real(name, *rest, **more)

    sparkplug_payload.payload_class.cache_clear()
    monkeypatch.setattr(builtins, "__import__", lacking)
    with pytest.raises(ToolMissing, match=r"Sparkplug B needs the package protobuf: pip install 'eddy\[knowledge\]'"):
        Sparkplug()


class Broker:
    """Says what a test wants, to one driver; a context manager."""

    def __init__(self, opened: Callable[[Any], Any], **options: Any) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
            address = f"mqtt://127.0.0.1:{server.getsockname()[1]}"
            made = pool.submit(lambda: opened(Subscribe(to=address, topic="spBv1.0/#", format="sparkplug", **options)))
            self.connection, _ = server.accept()
            self.connection.settimeout(5)
            assert self.heard()[0] == 0x10
            self.connection.sendall(b"\x20\x03\x00\x00\x00")
            self.connection.sendall(b"\x90\x04" + self.heard()[1][:2] + b"\x00\x01")
            self.driver = made.result(5)

    def __enter__(self) -> "Broker":
        return self

    def __exit__(self, *about: object) -> None:
        self.driver.close()
        self.connection.close()

    def heard(self) -> tuple[int, bytes]:
        """The next packet, which is shorter than 16 KiB: its first byte and its rest."""
        kind, size = self.connection.recv(2, socket.MSG_WAITALL)
        if size > 127:
            size += 128 * (self.connection.recv(1)[0] - 1)
        return kind, self.connection.recv(size, socket.MSG_WAITALL) if size else b""

    def say(self, kind: int, number: bytes = b"", properties: bytes = b"") -> None:
        """Data by an alias that is not known, and wait until the driver gives them on."""
        topic = NDATA.encode()
        body = (
            bytes([0, len(topic)])
            + topic
            + number
            + bytes([len(properties)])
            + properties
            + payload((None, 7, "Int8", 1, 1)).SerializeToString()
        )
        self.connection.sendall(bytes([kind, len(body)]) + body)
        while not self.driver.read():
            pass


def test_a_command_is_not_taken_for_a_receipt_that_has_its_number_later(opened: Callable[[Any], Any]) -> None:
    with Broker(opened) as broker:
        before = broker.driver._client._last_mid
        broker.say(0x30)
        kind, command = broker.heard()
        assert kind == 0x30 and b"spBv1.0/plant/NCMD/press" in command
        broker.driver._client._last_mid = before  # as it is after 65,535 others
        broker.say(0x32, b"\x00\x01", b"\x08\x00\x01r")  # the property with the response topic
        broker.driver.kept(2)
        kind, receipt = broker.heard()
        assert kind == 0x32 and receipt.startswith(b"\x00\x01r")
        broker.connection.settimeout(0.1)
        with pytest.raises(TimeoutError):
            broker.heard()
        broker.connection.settimeout(5)
        broker.connection.sendall(b"\x40\x02" + receipt[3:5])
        assert broker.heard() == (0x40, b"\x00\x01")


def test_a_source_may_be_told_to_ask_nobody(opened: Callable[[Any], Any]) -> None:
    with Broker(opened, rebirth=False) as broker:
        broker.say(0x32, b"\x00\x01")
        broker.driver.kept(1)
        assert broker.heard() == (0x40, b"\x00\x01")
