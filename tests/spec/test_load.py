"""Everything that is wrong in a file is told at once, each at its place and with a way out."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eddy.errors import DataError, SpecError
from eddy.spec.diagnostics import CODES
from eddy.spec.load import MOST, load, parse

APP = """\
app: pump-guard
version: 0.3.0
nodes:
  pump:  {tier: device, board: esp32, count: 4, memory: 256KiB}
  gw:    {tier: gateway, cores: 4}
links:
  pump-gw: {kind: serial, rate: 2400baud, duplex: half}
sources:
  vibration: {at: pump, driver: replay, data: "ims:2nd_test", rate: 20kHz, unit: m/s2, private: device}
functions:
  windows:  {use: window, from: vibration, size: 500ms}
  features: {use: features, from: windows, compute: [rms, mean], releases: gateway}
  detect:   {use: model, from: features, model: health, near: vibration}
  judge:    {use: pool, from: detect, model: health, at: gw, merge: pump}
  alarm:    {use: rule, from: judge, when: "anomaly in 5 of 6 windows", with: judge}
sinks:
  relay:    {from: alarm, driver: gpio, pin: 5, at: pump, safe: off}
models:
  health:   {trees: 50, threshold: quantile 98%, train: {first: 150 windows}}
place: {minimise: [latency, energy]}
adapt:
  - {when: "drift(features) for 10m", do: retrain health}
  - {when: "battery(pump) < 20%", do: move detect to gw}
verify:
  - {expect: "latency(vibration -> alarm) p95 < 2s", under: {loss: 5%}}
"""


def problems(text: str) -> list[tuple[str, str, str, str]]:
    """Place, code, reason and way out of each problem."""
    with pytest.raises(SpecError) as told:
        parse(text, "a.yaml")
    assert all(one.code in CODES and one.way_out for one in told.value.diagnostics)
    return [(one.where.removeprefix("a.yaml:"), one.code, one.reason, one.way_out) for one in told.value.diagnostics]


def test_a_sound_file_is_an_app_that_knows_where_it_is_written() -> None:
    app = parse(APP, "a.yaml")
    assert app.functions["windows"].inputs == ("vibration",)
    assert app.sinks["relay"].safe is False
    assert app.where("functions", "features") == "a.yaml:12:3"
    assert app.where("functions", "features", "compute") == "a.yaml:12:44"


@pytest.mark.parametrize(
    ("wrong", "instead", "code", "reason", "way_out"),
    [
        ("from: vibration, size", "^form: vibration, size", "E111", "unknown field 'form'", "did you mean 'from'?"),
        ("windows:  {use: window, from: vibration, size", "^windows:  {use: window, size", "E112", "'from' is missing", "add 'from:'"),
        ("board: esp32", "^bord: esp32", "E111", "unknown field 'bord'", "did you mean 'board'?"),
        ("train: {first", "train: {^frist", "E111", "unknown field 'frist'", "did you mean 'first'?"),
        ("place: {", "^palce: {", "E111", "unknown field 'palce'", "did you mean 'place'?"),
        ("count: 4", "count: ^four", "E113", "'count' is four, which is not a whole number", "write a whole number"),
        ("count: 4", "count: ^0", "E113", "'count' is 0, which should be greater than or equal to 1", "write another value"),
        ("version: 0.3.0", "version: ^0.3", "E113", "'version' is 0.3, which is not a text", 'write "0.3" in quotes, if that is the text'),
        ("version: 0.3.0", "version: ^v3", "E113", "'v3' is no version", "write three numbers, as in 0.3.0"),
        ("compute: [rms, mean]", "compute: ^rms", "E113", "'compute' is rms, which is not a list", "write a list"),
        ("tier: gateway", "tier: ^gatway", "E113", "'gatway' is not known as 'tier'", "did you mean 'gateway'?"),
        ("private: device", "private: ^devise", "E113", "'devise' is not known as 'private'", "did you mean 'device'?"),
        ("releases: gateway", "releases: ^gatewy", "E113", "'gatewy' is not known as 'releases'", "did you mean 'gateway'?"),
        ("[latency, energy]", "[latency, ^enrgy]", "E113", "'enrgy' is not known as 'minimise'", "did you mean 'energy'?"),
        ("use: window,", "use: ^windw,", "E131", "'windw' is no use of functions", "did you mean 'window'?"),
        ("driver: gpio", "driver: ^gpoi", "E131", "'gpoi' is no driver of sinks", "did you mean 'gpio'?"),
        ("compute: [rms", "compute: [^rsm", "E131", "'rsm' is no feature", "did you mean 'rms'?"),
        ("size: 500ms", "size: 500 ^parsecs", "E121", "'parsecs' is no unit of a duration", "choose one of d, h, m, s, ms"),
        ("unit: m/s2", "unit: ^m/ss", "E122", "'m/ss' is no unit of SenML", "did you mean 'm/s'?"),
        ("5 of 6 windows", "5 of 6 ^widows", "E123", "'windows' or 'samples' is missing, before 'widows'", "did you mean 'windows'?"),
        ("features) for", "features) ^fr", "E123", "the condition ends here, before 'fr'", "join two conditions with 'and' or 'or'"),
        ("threshold: quantile 98%", "threshold: ^quantile 98", "E124",
         "'quantile 98' is not understood here", "write for instance: quantile 98%"),
        ("  gw: ", "  ^9w: ", "E114", "'9w' cannot be a name", "use up to 63 letters, digits, - and _, a letter first"),
        ("from: windows", "from: ^window", "E131", "there is no source or function 'window'", "did you mean 'windows'?"),
        ("from: alarm", "from: ^relay", "E131",
         "'relay' is a sink, nothing comes out of it", "choose one of vibration, windows, features, detect, judge, alarm"),
        ("near: vibration", "near: ^vibratoin", "E131", "there is no source, function or sink 'vibratoin'", "did you mean 'vibration'?"),
        ("with: judge", "with: ^jugde", "E131", "there is no function 'jugde'", "did you mean 'judge'?"),
        ("model: health, at", "model: ^healht, at", "E131", "there is no model 'healht'", "did you mean 'health'?"),
        ("at: gw", "at: ^gatewya", "E131", "there is no node or tier 'gatewya'", "did you mean 'gateway'?"),
        ("merge: pump", "merge: ^pupm", "E131", "there is no node 'pupm'", "did you mean 'pump'?"),
        ("merge: pump", "merge: ^gw", "E135", "'judge' takes in what exists on pump, and merges gw", "write 'merge: pump'"),
        ("at: pump, driver", "at: ^pum, driver", "E131", "there is no node 'pum'", "did you mean 'pump'?"),
        ("at: pump, safe", "at: ^gatway, safe", "E131", "there is no node 'gatway'", "choose one of pump, gw"),
        ("pump-gw", "^pump-gq", "E134", "link 'pump-gq' joins no two nodes", "did you mean 'pump-gw'?"),
        ("rate: 2400baud", "^rate: 2400baud, bandwidth: 1kbit/s", "E136", "'rate' and 'bandwidth' say the same", "leave one out"),
        ("retrain health", "retrain ^heatlh", "E131", "there is no model 'heatlh'", "did you mean 'health'?"),
        ("battery(pump)", "battery(^pmup)", "E131", "there is no node 'pmup'", "did you mean 'pump'?"),
        ("-> alarm", "-> ^alrm", "E131", "there is no function or sink 'alrm'", "did you mean 'alarm'?"),
        ("compute: [rms, mean], releases: gateway}", "compute: [rms, mean]}\n  ^windows: {}", "E102",
         "'windows' is there twice", "it is in line 11 already; rename or remove one"),
        ("  relay: ", "  ^alarm: ", "E132", "'alarm' is in functions too", "give each its own name"),
        ("  gw:    {", "  ^pump-2: {tier: device}\n  gw:    {", "E132", "'pump-2' is one of the nodes 'pump' too", "rename one"),
        ("unit: m/s2", "range: ^[85, -40]", "E113", "the range [85, -40] is empty", "write the lower number first"),
        ("unit: m/s2", "range: ^[1]", "E113", "'[1]' is no range", "write the lowest and the highest number, as in [-40, 85]"),
        ("unit: m/s2", "range: {a: [0, 1], b: ^[0, x]}", "E113", "'[0, 'x']' is no range",
         "write the lowest and the highest number, as in [-40, 85]"),
        ("unit: m/s2", "range: {a: ^[0, .inf]}", "E113", "'[0, inf]' is no range",
         "write the lowest and the highest number, as in [-40, 85]"),
        ("unit: m/s2", "range: ^5", "E113", "'range' is 5, which is not a map", "write a map"),
        ("safe: off", "safe: ^0.5", "E113", "0.5 is nothing to set a sink to", "write on, off, a whole number or a text"),
        ("safe: off", "safe: ^no", "E103", "'no' means different things in YAML 1.1 and 1.2",
         'write "no" for the text, or true, false or a decimal number'),
        ("from: judge", "from: ^[]", "E113", "'from' is empty", "write at least one"),
        ("board: esp32", "board: ^off", "E103",
         "'off' means different things in YAML 1.1 and 1.2", 'write "off" for the text, or true, false or a decimal number'),
        ("board: esp32", "board: ^1:30", "E103",
         "'1:30' means different things in YAML 1.1 and 1.2", 'write "1:30" for the text, or true, false or a decimal number'),
        ("relay:    {", "relay:    {^on: 3, ", "E103", "the key 'on' is no text in YAML 1.1", "choose another name"),
        ("from: judge", "from: ^[judge, alarm]", "E133",
         "functions wait for each other: alarm → alarm", "let one of them take in something else"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_where_it_is_and_how_to_mend_it(wrong: str, instead: str, code: str, reason: str, way_out: str) -> None:
    assert APP.count(wrong) == 1
    before, _, after = APP.replace(wrong, instead).partition("^")
    place = f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
    assert (place, code, reason, way_out) in problems(before + after)


TIERS = "  lake: {from: alarm, driver: lake, keep: 30d, warm: {every: 1m, keep: 90d}, cold: {every: 1h}}\n"


@pytest.mark.parametrize(
    ("wrong", "instead", "told"),
    [
        ("keep: 30d, ", "", [
            ("^{every: 1m", "E136", "'warm' is for samples that are let go, and these are kept for ever", "add 'keep: 30d'"),
            ("^{every: 1h", "E136", "'cold' is for samples that are let go, and these are kept for ever", "add 'keep: 30d'"),
        ]),
        ("keep: 30d, ", "keep: 30 ^parsecs, ", [
            ("^parsecs", "E121", "'parsecs' is no unit of a duration", "choose one of d, h, m, s, ms")]),
        ("every: 1m", "every: ^7h", [
            ("^7h", "E113", "steps of 7h do not fill a day", "write a duration that divides a day, such as 1m, 15m or 1h")]),
        ("every: 1h", "every: ^2d", [
            ("^2d", "E113", "steps of 2d do not fill a day", "write a duration that divides a day, such as 1m, 15m or 1h")]),
        ("every: 1h", "every: 60s", [
            ("^{every: 60s", "E136", "the steps of 'cold' are 1m, those of 'warm' 1m", "let those of 'cold' be the longer ones")]),
        ("keep: 90d", "keep: 29d", [
            ("^{every: 1m", "E136", "the sums would go after 29d, before the samples, kept for 30d", "let 'warm' keep them for longer")]),
        ("{every: 1h}", "{^evry: 1h}", [("^evry", "E111", "unknown field 'evry'", "did you mean 'every'?")]),
        ("{every: 1h}", "^1h", [("^1h", "E113", "'cold' is 1h, which is not a map", "write a map")]),
    ],
)  # fmt: skip
def test_tiers_that_do_not_go_with_the_rest_are_told(wrong: str, instead: str, told: list[tuple[str, str, str, str]]) -> None:
    assert TIERS.count(wrong) == 1
    text = APP.replace("models:\n", TIERS.replace(wrong, instead.replace("^", "")) + "models:\n")
    lines = text.splitlines()
    row = next(number for number, line in enumerate(lines) if line.startswith("  lake"))
    wanted = [(f"{row + 1}:{lines[row].index(at[1:]) + 1}", *rest) for at, *rest in told]
    assert problems(text) == wanted


def test_sound_tiers_are_read() -> None:
    assert parse(APP.replace("models:\n", TIERS + "models:\n"), "a.yaml").sinks["lake"].model_dump(by_alias=True)["cold"]["every"] == "1h"


PLANT = """\
app: plant
nodes: {gw: {tier: gateway}}
sources:
  line: {at: gw, driver: mqtt, format: sparkplug, to: "mqtt://b", topic: "spBv1.0/#", value: a/b, scale: 10, unique: ., rebirth: false}
sinks: {record: {from: line, driver: log, file: a}}
"""


@pytest.mark.parametrize(
    ("wrong", "instead", "code", "reason", "way_out"),
    [
        *(
            ("value: a/b", f"{field}: ^{value}", "E136",
             f"'{field}' is nothing of Sparkplug: its messages say themselves what they hold", "leave it out")
            for field, value in [("items", "a"), ("time", "at"), ("time_unit", "s"), ("origin", "who"), ("columns", "[a]"),
                                 ("delimiter", ";"), ("decimal", "x"), ("struct", "<h")]
        ),
        ("unique: .", "unique: ^id", "E136", "messages of Sparkplug have no keys", "write 'unique: .', or leave it out"),
        ('"spBv1.0/#"', '^["a", "$share/g/spBv1.0/#"]', "E136", "of a shared subscription each hears a part, births or data",
         "subscribe to the topics themselves"),
        ('format: sparkplug, to: "mqtt://b", topic: "spBv1.0/#", value: a/b, scale: 10, unique: ., rebirth: false',
         'to: "mqtt://b", topic: a, rebirth: ^true', "E136", "only who speaks Sparkplug is asked for a rebirth",
         "leave it out, or write 'format: sparkplug'"),
        ("format: sparkplug", "format: ^sparkplugg", "E113", "'sparkplugg' is not known as 'format'", "did you mean 'sparkplug'?"),
        ('driver: mqtt, format: sparkplug, to: "mqtt://b", topic: "spBv1.0/#"',
         'driver: http, listen: "127.0.0.1:1", format: ^sparkplug', "E113", "'sparkplug' is not known as 'format'",
         "choose one of json, senml, senml-cbor, cbor, csv, raw"),
    ],
)  # fmt: skip
def test_what_does_not_go_with_sparkplug_is_told(wrong: str, instead: str, code: str, reason: str, way_out: str) -> None:
    assert PLANT.count(wrong) == 1 and parse(PLANT, "a.yaml")
    before, _, after = PLANT.replace(wrong, instead).partition("^")
    assert problems(before + after)[0] == (f"4:{len(before) - before.rfind(chr(10))}", code, reason, way_out)


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("app: [1\n", "2:1", "this is no YAML: while parsing a flow sequence, expected ',' or ']', but got '<stream end>'"),
        (
            "app: 1\n\tb: 2\n",
            "2:1",
            "this is no YAML: while scanning for the next token, found character '\\t' that cannot start any token",
        ),
        ("app: a\n---\napp: b\n", "2:1", "this is no YAML: expected a single document in the stream, but found another document"),
        ("&a [*a]", "1:1", "this is no YAML: it is nested without end"),
        ("[1, 2]", "1:1", "this is no app"),
        ("", "1:1", "this is no app"),
        ("app: !python/name:os.system a", "1:6", "the tag !python/name:os.system is not used in this language"),
    ],
)
def test_what_is_no_yaml_or_no_app_is_told(text: str, place: str, reason: str) -> None:
    assert (place, "E101", reason) in [one[:3] for one in problems(text)]


def test_functions_that_wait_for_each_other_are_told_as_a_circle_each_once() -> None:
    circles = APP.replace("from: vibration, size", "from: judge, size").replace(
        "with: judge}", "with: judge}\n  a: {use: counter, from: b}\n  b: {use: counter, from: a}"
    )
    assert [reason for _, code, reason, _ in problems(circles) if code == "E133"] == [
        "functions wait for each other: windows → features → detect → judge → windows",
        "functions wait for each other: a → b → a",
    ]


def test_mistakes_of_all_kinds_are_told_in_one_go_in_the_order_of_the_file() -> None:
    text = APP
    for wrong, instead in (
        ("version: 0.3.0", "version: 0.3"),
        ("board: esp32", "bord: esp32"),
        ("unit: m/s2", "unit: g"),  # gram, a unit, though not the one that was meant
        ("size: 500ms", "size: half a second"),
        ("from: windows", "from: window"),
        ("near: vibration", "near: vibratoin"),
        ("5 of 6", "7 of 6"),
        ("pin: 5", "pim: 5"),
    ):
        text = text.replace(wrong, instead)
    told = [(place.partition(":")[0], code) for place, code, *_ in problems(text)]
    assert told == [("2", "E113"), ("4", "E111"), ("11", "E121"), ("12", "E131"), ("13", "E131"), ("15", "E123"), ("17", "E111")]


def test_who_names_something_broken_has_made_no_mistake() -> None:
    broken = APP.replace("size: 500ms", "size: 0ms").replace("trees: 50", "trees: many").replace("cores: 4", "cores: -1")
    told = [(place.partition(":")[0], code) for place, code, *_ in problems(broken)]
    assert told == [("5", "E113"), ("11", "E121"), ("19", "E113")]


def test_a_typo_in_the_name_of_a_section_is_one_mistake() -> None:
    for section in ("links", "sources", "functions", "sinks", "models"):
        told = problems(APP.replace(f"\n{section}:", f"\n{section[:-2]}{section[-1]}:"))
        assert [code for _, code, *_ in told] == ["E111"] and told[0][3] == f"did you mean '{section}'?"


def test_of_a_file_full_of_mistakes_the_first_are_told_and_the_rest_counted() -> None:
    nonsense = "app: a\nnodes: {gw: {tier: gateway}}\nfunctions:\n" + "".join(f"  f{n}: {{use: x, form: y}}\n" for n in range(60))
    with pytest.raises(SpecError) as told:
        parse(nonsense)
    error = told.value
    assert len(error.diagnostics) == MOST and error.more > 0
    assert error.summary == f"eddy.yaml has {MOST + error.more} problems; these are the first {MOST}"


def test_a_node_that_no_link_reaches_is_told() -> None:
    lonely = APP.replace("links:", "  cloud: {tier: cloud}\nlinks:")
    assert problems(lonely) == [
        ("6:3", "E134", "no link leads from 'cloud' to 'pump-1'", "add a link under 'links', named after both ends, as in pump-gw")
    ]
    apart = APP.replace("tier: gateway, cores: 4", "tier: gateway, count: 2")
    assert ("5:3", "E134", "no link leads from 'gw-2' to 'pump-1'") in [one[:3] for one in problems(apart)]


def test_streams_that_exist_on_different_nodes_need_a_merge() -> None:
    other = APP.replace("links:", "  fan: {tier: device, count: 2}\nlinks:\n  fan-gw: {}")
    other = other.replace("functions:", "  wind: {at: fan, driver: simulated}\nfunctions:").replace(
        "from: vibration,", "from: [vibration, wind],"
    )
    assert ("14:33", "E135") in [one[:2] for one in problems(other)]


def test_the_columns_of_a_model_must_be_known() -> None:
    unknown = APP.replace("from: features, model", "from: windows, model")
    assert [one[:3] for one in problems(unknown)] == [("13:32", "E136", "what the rows hold that 'detect' takes in is not known")]
    assert parse(unknown.replace("model: health, near", "model: health, features: [rms], near"))


def test_columns_within_quotes_and_over_several_lines_are_not_made_up() -> None:
    folded = APP.replace('when: "anomaly in 5 of 6 windows"', 'when: "anomaly in\n      7 of 6 windows"')
    assert problems(folded)[0][0] == "15:44"  # where the text begins


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\xfa")
    for file in (tmp_path / "missing.yaml", tmp_path / "a.yaml"):
        with pytest.raises(DataError, match="cannot read"):
            load(file)


@pytest.mark.slow
@settings(max_examples=150)
@given(st.integers(0, len(APP)), st.integers(0, 12), st.text(alphabet="abz01 :,{}[]-\n\"'#&*!%<>@", max_size=6))
def test_whatever_is_typed_into_a_file_it_is_an_app_or_problems_with_places(at: int, length: int, typed: str) -> None:
    try:
        app = parse(APP[:at] + typed + APP[at + length :])
    except SpecError as error:
        assert error.diagnostics
        for one in error.diagnostics:
            file, line, column = one.where.split(":")
            assert file == "eddy.yaml" and int(line) >= 1 and int(column) >= 1 and one.code in CODES
    else:
        assert parse(app.to_yaml()) == app
