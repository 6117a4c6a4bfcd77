"""What is declared becomes the program that runs: module, class, and arguments as the class names them."""

import inspect
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest

from eddy.spec.catalog import Own, choices
from eddy.spec.described import columns
from eddy.spec.load import made
from eddy.spec.programs import judged, program

NODES = {"gw": {"tier": "gateway"}}
LEARNED = {"trees": 30, "threshold": "quantile 99.5%", "train": {"first": "200 windows"}, "seed": 7}
SETTINGS = {"trees": 30, "subsample": 100, "quantile": 995, "rows": 200, "seed": 7}

SOURCES: list[tuple[dict[str, Any], list[Any]]] = [
    (
        {"driver": "replay", "data": "ims:2nd_test#1", "rate": "20kHz", "speed": 0},
        ["eddy.links.replay", "Replay", {"data": "ims:2nd_test#1", "rate_hz": 20_000, "speed": 0}],
    ),
    (
        {"driver": "replay", "data": "csv:a.csv#x", "rate": "1/h", "time": "date", "scale": 10},
        ["eddy.links.replay", "Replay", {"data": "csv:a.csv#x", "period_ms": 3_600_000, "time": ["date"], "scale": 10}],
    ),
    (
        {"driver": "simulated", "rate": "1Hz", "chunk": 5, "cycle": "1h", "fault_after": "2h"},
        ["eddy.links.simulated", "Simulated", {"rate_hz": 1, "chunk": 5, "cycle_ms": 3_600_000, "fault_after_ms": 7_200_000}],
    ),
]
FUNCTIONS: list[tuple[dict[str, Any], list[Any]]] = [
    ({"use": "window", "size": "500ms"}, ["eddy.kernel.functions.window", "Window", {"size_ms": 500}]),
    ({"use": "features", "compute": ["rms"]}, ["eddy.kernel.functions.features", "Features", {"compute": ["rms"]}]),
    (
        {"use": "model", "model": "m", "features": ["rms"]},
        ["eddy.kernel.functions.model", "Model", {"features": ["rms"], "uses": ["rms"], **SETTINGS}],
    ),
    ({"use": "forward", "normal": "1 in 20"}, ["eddy.kernel.functions.forward", "Forward", {"normal_every": 20}]),
    (
        {"use": "alarm", "raise": "value > 2", "clear": "value < 1"},
        [
            "eddy.kernel.functions.alarm",
            "Alarm",
            {"name": "x", "when": ["compare", "", ">", 2000], "clear": ["compare", "", "<", 1000]},
        ],
    ),
    ({"use": "rule", "when": "value > 1"}, ["eddy.kernel.functions.rule", "Rule", {"when": ["compare", "", ">", 1000]}]),
    ({"use": "filter", "when": "x < 1"}, ["eddy.kernel.functions.filter", "Filter", {"when": ["compare", "x", "<", 1000]}]),
    ({"use": "mean", "over": "10m"}, ["eddy.kernel.functions.mean", "Mean", {"over_ms": 600_000}]),
    ({"use": "counter"}, ["eddy.functions.counter", "Counter", {"ballast": 0}]),
    (
        {"use": "pool", "model": "m", "decide": "rank"},
        ["eddy.pool.judging", "Judge", {"columns": [], "devices": {}, "decide": "rank"}],
    ),
]
SINKS: list[tuple[dict[str, Any], list[Any]]] = [
    ({"driver": "webhook", "to": "env:X"}, ["eddy.links.webhook", "Webhook", {"to": "env:X"}]),
    ({"driver": "mqtt", "to": "mqtt://b", "topic": "t"}, ["eddy.links.mqtt", "Publish", {"to": "mqtt://b", "topic": "t", "version": 5}]),
    (
        {"driver": "mqtt", "to": "mqtt://b", "topic": "t", "version": 4, "discovery": "homeassistant"},
        [
            "eddy.links.homeassistant",
            "HomeAssistant",
            {"to": "mqtt://b", "topic": "t", "version": 4, "streams": {"s": {"private": "cloud", "rate_hz": "10"}}},
        ],
    ),
    (
        {"driver": "email", "server": "smtps://m", "to": "a@b.c", "sender": "e@b.c", "password": "env:P"},
        ["eddy.links.email", "Email", {"server": "smtps://m", "to": ["a@b.c"], "sender": "e@b.c", "password": "env:P"}],
    ),
    (
        {"driver": "lake", "keep": "30d", "warm": {"every": "1m", "keep": "365d"}, "cold": {"every": "1h"}},
        [
            "eddy.knowledge.lake",
            "Lake",
            {
                "keep_ms": 30 * 86_400_000,
                "warm": {"every_ms": 60_000, "keep_ms": 365 * 86_400_000},
                "cold": {"every_ms": 3_600_000},
                "streams": {"s": {"private": "cloud", "rate_hz": "10"}},
            },
        ],
    ),
    ({"driver": "lake"}, ["eddy.knowledge.lake", "Lake", {"streams": {"s": {"private": "cloud", "rate_hz": "10"}}}]),
    ({"driver": "gpio", "pin": 5}, ["eddy.links.gpio", "Pin", {"pin": 5}]),
    ({"driver": "log", "file": "a.jsonl"}, ["eddy.links.log", "Log", {"file": "a.jsonl"}]),
]
TOLD: list[dict[str, Any]] = [
    {"driver": "webhook", "to": "env:X"},
    {"driver": "mqtt", "to": "mqtt://b", "topic": "t"},
    {"driver": "email", "server": "smtps://m", "to": "a@b.c", "sender": "e@b.c"},
    {"driver": "log", "file": "a.jsonl"},
]
ALL = [("source", *case) for case in SOURCES] + [("function", *case) for case in FUNCTIONS] + [("sink", *case) for case in SINKS]


def of(kind: str, declared: dict[str, Any]) -> list[Any]:
    """The program of the only thing of its kind in an app."""
    source = {"at": "gw", **(declared if kind == "source" else {"driver": "simulated"})}
    data: dict[str, Any] = {"app": "a", "nodes": NODES, "sources": {"s": source}, "models": {"m": LEARNED}}
    if kind != "source":
        data[f"{kind}s"] = {"x": {"from": "s", **declared}}
    return program(made(data), kind, "s" if kind == "source" else "x")


@pytest.mark.parametrize(("kind", "declared", "expected"), ALL)
def test_a_declaration_becomes_a_program(kind: str, declared: dict[str, Any], expected: list[Any]) -> None:
    found = of(kind, declared)
    assert found[:2] == expected[:2] and expected[2].items() <= found[2].items()
    if kind != "source":  # drivers of sources have defaults besides
        assert found == expected


@pytest.mark.parametrize("declared", TOLD, ids=[str(one["driver"]) for one in TOLD])
def test_who_is_told_of_an_alarm_knows_in_what_its_value_is(declared: dict[str, Any]) -> None:
    source = {"at": "gw", "driver": "http", "listen": "127.0.0.1:1", "scale": 10, "unit": "Cel"}
    functions = {"hot": {"use": "alarm", "from": "s", "raise": "value > 80"}, "odd": {"use": "alarm", "from": "o", "raise": "value > 8"}}
    sources = {"s": source, "o": {"at": "gw", "driver": "simulated"}}
    sinks = {"x": {"from": ["hot", "odd", "s"], **declared}, "y": {"from": ["odd", "s"], **declared}}
    app = made({"app": "a", "nodes": NODES, "sources": sources, "functions": functions, "sinks": sinks})
    module, name, arguments = program(app, "sink", "x")
    assert arguments["alarms"] == {"hot": {"per": {"value": 10}, "units": {"value": "Cel"}}}
    assert inspect.signature(getattr(import_module(module), name)).bind(**arguments)
    assert "alarms" not in program(app, "sink", "y")[2]


@pytest.mark.parametrize(("kind", "declared"), [case[:2] for case in ALL], ids=[str(case[2][1]) for case in ALL])
def test_the_class_takes_the_arguments(kind: str, declared: dict[str, Any]) -> None:
    module, name, arguments = of(kind, declared)
    try:
        there = find_spec(module) is not None
    except ModuleNotFoundError:
        there = False
    if not there:
        pytest.skip(f"{module} is not there")
    assert inspect.signature(getattr(import_module(module), name)).bind(**arguments)


def test_every_built_in_has_a_program_of_its_own() -> None:
    programs = [
        declared.program  # type: ignore[attr-defined]
        for section in ("sources", "functions", "sinks")
        for declared in choices(section).values()
        if not issubclass(declared, Own)
    ]
    assert len(set(programs)) == len(programs) and ("", "") not in programs


def test_the_columns_of_a_model_come_from_the_features_behind_its_filters() -> None:
    functions = {
        "w": {"use": "window", "from": "s", "size": "1s"},
        "f": {"use": "features", "from": "w", "compute": ["rms", "mean"]},
        "loud": {"use": "filter", "from": "f", "when": "value[0] > 5"},
        "d": {"use": "model", "from": ["loud", "f"], "model": "m"},
        "j": {"use": "pool", "from": "d", "model": "m"},
    }
    app = made(
        {"app": "a", "nodes": NODES, "sources": {"s": {"at": "gw", "driver": "simulated"}}, "functions": functions, "models": {"m": {}}}
    )
    assert columns(app, "d") == ("rms", "mean")
    assert program(app, "function", "j")[2]["columns"] == ["rms", "mean"]
    assert judged(app, "m")["features"] == ["rms", "mean"]


def test_a_model_says_which_features_it_learns_from_and_the_others_are_reported_all_the_same() -> None:
    functions = {
        "f": {"use": "features", "from": "s", "compute": ["rms", "mean", "kurtosis"]},
        "d": {"use": "model", "from": "f", "model": "m"},
        "j": {"use": "pool", "from": "d", "model": "m", "decide": "rank"},
    }
    replace = {"when": "3 false positives in 2h", "by": "best-ranked"}
    pool = {"trees": [10, 20], "threshold": "quantile 90%"}
    models = {"m": {**LEARNED, "features": ["kurtosis", "rms"], "pool": pool, "replace": replace}}
    sources = {"s": {"at": "gw", "driver": "simulated"}}
    app = made({"app": "a", "nodes": NODES, "sources": sources, "functions": functions, "models": models})
    expected = {"features": ["rms", "mean", "kurtosis"], "uses": ["kurtosis", "rms"], **SETTINGS}
    assert program(app, "function", "d")[2] == expected
    assert judged(app, "m") == {**expected, "pool_trees": [10, 20], "pool_quantile": 900, "replace": [3, 2 * 3_600_000], "decide": "rank"}
