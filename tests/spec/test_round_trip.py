"""An app survives being written and read, whichever way it was made."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from eddy.errors import SpecError
from eddy.spec import quantities
from eddy.spec.build import Builder
from eddy.spec.load import made, parse
from eddy.spec.model import App

KINDS = [kind for kind in vars(quantities).values() if isinstance(kind, quantities.Kind)]
LEVELS = st.sampled_from(["device", "gateway", "cloud"])
TEXTS = ["off", "010", "a: b #c", "'", "ü\n", " x ", "1.5", "null", "~", "2026-01-01", "<<", "1_000", "[x", "y"]
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,8}", fullmatch=True)

ENDS = st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False)
RANGE = st.lists(ENDS, min_size=2, max_size=2, unique_by=float).map(sorted)
RANGES = RANGE | st.dictionaries(st.sampled_from([*TEXTS, "value", "co2"]), RANGE, max_size=3)


def quantity(kind: quantities.Kind, low: int = 1) -> st.SearchStrategy[str]:
    return st.builds(lambda number, unit: f"{number}{unit}", st.integers(low, 10**6), st.sampled_from(sorted(kind.units)))


def optional(**fields: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    return st.fixed_dictionaries({}, optional=fields)


@st.composite
def apps(draw: st.DrawFn) -> dict[str, object]:
    """A chain from a source on a device through functions of any kind to a sink, with every field that may be there."""
    device, gateway, source, first, second, third, sink, model = draw(st.lists(NAMES, min_size=8, max_size=8, unique=True))
    shared = optional(
        **{"at": st.sampled_from([gateway, [device, "gateway"], "cloud"]), "near": st.just(source), "releases": LEVELS},
        **{"copies": st.integers(0, 2), "on_partition": st.sampled_from(["stay", "yield"]), "merge": st.just(device)},
    )
    second_one = draw(
        st.sampled_from(
            [
                {"use": "model", "model": model, "features": ["rms", "mean"]},
                {"use": "rule", "when": "value > 50 for 3h or not x <= -1.5"},
                {"use": "counter", "ballast": 3},
                {"use": "mean", "over": "90s"},
                {"use": "forward", "normal": "1 in 20"},
                {"use": "pool", "model": model, "decide": "rank"},
            ]
        )
    )
    return {
        "app": draw(NAMES),
        "version": "1.20.3",
        "nodes": {
            device: {"tier": "device", "count": draw(st.integers(1, 3)), **draw(optional(memory=quantity(quantities.SIZE_B)))},
            gateway: {"tier": "gateway", **draw(optional(price=quantity(quantities.PRICE_PER_H), battery=quantity(quantities.ENERGY_J)))},
        },
        "links": {f"{device}-{gateway}": draw(optional(latency=quantity(quantities.LATENCY_S), rate=quantity(quantities.BANDWIDTH_BIT_S)))},
        "sources": {
            source: {"at": device, "driver": "replay", "data": "csv:a b#c: d, e"}
            | draw(optional(rate=quantity(quantities.RATE_HZ), unit=st.sampled_from(["m/s2", "%RH", "/"]), private=LEVELS, range=RANGES))
        },
        "functions": {
            first: {"use": "window", "from": source, "size": draw(quantity(quantities.DURATION_MS))},
            second: {"from": [first], **second_one, **draw(shared)},
            third: {"use": "filter", "from": [source, first], "when": "value[2] == 1", "with": second},
        },
        "sinks": {
            sink: {
                "from": second,
                "driver": "mqtt",
                "to": "env:BROKER",
                "topic": draw(st.sampled_from(TEXTS)),
                **draw(optional(safe=st.sampled_from([False, "off", "no", 3, "x"]))),
            },
            f"{sink}-lake": {
                "from": second,
                "driver": "lake",
                "keep": f"{draw(st.integers(1, 9))}d",
                **draw(optional(warm=st.just({"every": "90s"}), cold=st.sampled_from([{"every": "1h", "keep": "9d"}, {"every": "1d"}]))),
            },
        },
        "models": {model: draw(optional(trees=st.integers(1, 1000), threshold=st.sampled_from(["quantile 98%", "quantile 99.9%"])))},
        **draw(
            optional(
                place=st.just({"minimise": ["energy"]}),
                adapt=st.just([{"when": f"drift({first}) for 10m and battery({gateway}) < 20%", "do": f"move {second} to {gateway}"}]),
                release=st.just({"rings": ["dev", "canary 2"], "gate": {"soak": "30m", "false_alarms": "< 0.5%"}, "otherwise": "stop"}),
                verify=st.just([{"expect": f"latency({source} -> {sink}) p95 < 2s", "under": {"loss": "5%"}}]),
            )
        ),
    }


@pytest.mark.slow
@settings(max_examples=50)
@given(apps())
def test_what_is_written_reads_as_the_same_app(data: dict[str, object]) -> None:
    app = made(data)
    again = parse(app.to_yaml())
    assert again == app and again.to_yaml() == app.to_yaml()


@pytest.mark.slow
@settings(max_examples=30)
@given(apps())
def test_what_is_written_means_the_same_under_yaml_1_1(data: dict[str, object]) -> None:
    text = made(data).to_yaml()
    old, new = YAML(typ="safe", pure=True), YAML(typ="safe", pure=True)
    old.version = (1, 1)
    assert old.load(text) == new.load(text)


@given(st.sampled_from(KINDS), st.data())
def test_every_quantity_that_can_be_read_is_written_exactly(kind: quantities.Kind, data: st.DataObject) -> None:
    number = data.draw(st.from_regex(r"[0-9]{1,15}(\.[0-9]{1,9})?", fullmatch=True).filter(str.isascii))
    value = float(quantities.parse(number + data.draw(st.sampled_from(sorted(kind.units))), kind))
    assert float(quantities.parse(quantities.write(value, kind), kind)) == value


@pytest.fixture
def built() -> App:
    app = Builder("greenhouse", version="0.2.0", place={"minimise": ["cost"]})
    bed, gw = app.node("bed", tier="device", count=2), app.node("gw", tier="gateway")
    app.link(bed, gw, kind="serial", rate="9600baud")
    air = app.source("air", at=bed, driver="simulated", rate="1Hz", unit="ppm")
    hourly = app.function("hourly", use="mean", from_=air, over="1h")
    stuffy = app.function("stuffy", use="rule", from_=hourly, when="value > 1000 for 10m", with_=hourly)
    app.sink("door", from_=stuffy, driver="log", file="door.jsonl")
    return app.build()


def test_the_builder_makes_the_object_that_the_file_makes(built: App) -> None:
    text = """
app: greenhouse
version: 0.2.0
nodes:
  bed: {tier: device, count: 2}
  gw: {tier: gateway}
links:
  bed-gw: {kind: serial, rate: 9600baud}
sources:
  air: {at: bed, driver: simulated, rate: 1Hz, unit: ppm}
functions:
  hourly: {use: mean, from: air, over: 60m}
  stuffy: {use: rule, from: hourly, when: value > 1000 for 10m, with: hourly}
sinks:
  door: {from: stuffy, driver: log, file: door.jsonl}
place: {minimise: [cost]}
"""
    assert parse(text) == built
    assert built.where("functions", "hourly") == "functions.hourly"
    assert parse(text, "eddy.yaml").where("functions", "hourly") == "eddy.yaml:12:3"


def test_the_builder_takes_a_name_once() -> None:
    app = Builder("a")
    app.node("gw", tier="gateway")
    with pytest.raises(SpecError, match=r"nodes.gw: E102 'gw' is there twice"):
        app.node("gw", tier="cloud")


def test_a_text_that_yaml_1_1_would_take_for_something_else_is_written_in_quotes(built: App) -> None:
    changed = made({"app": "a", "nodes": {"gw": {"tier": "gateway", "board": "off"}}})
    assert 'board: "off"' in changed.to_yaml()
    assert parse(changed.to_yaml()).nodes["gw"].board == "off"
