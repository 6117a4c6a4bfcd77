"""An app becomes a problem: instances, merging, figures; and `eddy plan` shows the plan of its file."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eddy.cli.main import app
from eddy.planner.from_app import problem
from eddy.planner.plan import plan
from eddy.planner.problem import Problem
from eddy.spec.load import load

APP = """
app: pump-guard
nodes:
  pump:   {tier: device, board: esp32, count: 4, memory: 256KiB, flash: 1MiB}
  gw:     {tier: gateway, cores: 4, memory: 1GiB}
  cloud:  {tier: cloud}
links:
  pump-gw:  {kind: serial, rate: 2400baud, duplex: half}
  gw-cloud: {kind: ip, bandwidth: 2Mbit/s, latency: 40ms}
sources:
  vibration: {at: pump, driver: replay, data: "ims:2nd_test", rate: 20kHz, type: int16, unit: m/s2, private: device}
functions:
  windows:   {use: window, from: vibration, size: 500ms}
  features:  {use: features, from: windows, compute: [rms, peak_to_peak], releases: gateway}
  detect:    {use: model, model: bearing-health, from: features, near: vibration}
  report:    {use: forward, from: detect, normal: 1 in 20, anomalous: all}
  judge:     {use: pool, model: bearing-health, from: report, at: gw, merge: pump}
  alarm:     {use: rule, from: judge, when: "anomaly in 5 of 6 windows", releases: cloud}
sinks:
  operator:  {from: alarm, driver: webhook, to: "env:OPS_WEBHOOK", effect: idempotent}
  relay:     {from: alarm, at: pump, driver: gpio, pin: 5, effect: idempotent, safe: off}
models:
  bearing-health: {learn: isolation-forest, trees: 50, subsample: 100}
place: {minimise: [latency, energy, traffic]}
"""
PUMPS = {f"pump-{number}" for number in range(1, 5)}


def read(file: Path) -> Problem:
    return problem(load(file))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "eddy.yaml").write_text(APP)
    return tmp_path / "eddy.yaml"


def test_what_hangs_on_counted_nodes_exists_on_each_until_merged(file: Path) -> None:
    found = read(file)
    names = {function.name for function in found.functions}
    assert {f"features@{pump}" for pump in PUMPS} <= names and {"judge", "alarm", "operator"} <= names
    assert {flow.producer for flow in found.flows if flow.consumer == "judge"} == {f"report@{pump}" for pump in PUMPS}
    assert {sink.name for sink in found.sinks} == {f"relay@{pump}" for pump in PUMPS}
    assert {(link.a, link.b) for link in found.links} == {(pump, "gw") for pump in PUMPS} | {("gw", "cloud")}
    near = next(function for function in found.functions if function.name == "detect@pump-3")
    assert near.near == "vibration@pump-3"


def test_rates_and_sizes_follow_from_the_source(file: Path) -> None:
    flows = {(flow.producer, flow.consumer): flow for flow in read(file).flows}
    raw, windows = flows["vibration@pump-1", "windows@pump-1"], flows["windows@pump-1", "features@pump-1"]
    assert (raw.samples_per_s, raw.bytes_per_s) == (20_000, 40_000)
    assert (windows.samples_per_s, windows.bytes_per_s) == (2, 40_000)
    assert flows["features@pump-1", "detect@pump-1"].bytes_per_s == 2 * 16


def test_raw_data_stays_on_each_pump_and_the_pool_on_the_gateway(file: Path) -> None:
    placement = plan(read(file)).placement
    for pump in PUMPS:
        assert placement[f"windows@{pump}"] == placement[f"features@{pump}"] == pump
        assert placement[f"detect@{pump}"] in (pump, "gw")
    assert placement["judge"] == placement["alarm"] == "gw"


def test_exit_codes_say_whether_something_would_change(file: Path, tmp_path: Path) -> None:
    runner, kept = CliRunner(), str(tmp_path / "plan.json")
    first = runner.invoke(app, ["plan", str(file), "--json", kept])
    assert first.exit_code == 3 and "+ judge  gw" in first.stdout and "nowhere else" in first.stdout
    again = runner.invoke(app, ["plan", str(file), "--running", kept])
    assert again.exit_code == 0 and "Nothing to change" in again.stdout
    file.write_text(APP.replace("5 of 6", "4 of 6"))
    changed = runner.invoke(app, ["plan", str(file), "--running", kept, "--json", "-"])
    assert changed.exit_code == 3
    why = "its settings change"
    assert json.loads(changed.stdout)["changes"] == [{"kind": "change", "function": "alarm", "source": "gw", "target": "gw", "why": why}]
    file.write_text(APP.replace(", releases: cloud", ""))
    leaks = runner.invoke(app, ["plan", str(file)])
    assert leaks.exit_code == 1 and "[gw–pump-1] → pump-1" in leaks.stderr
    assert f"{file}:21:3: alarm → relay@pump-1 carries" in leaks.stderr
    assert runner.invoke(app, ["plan", str(tmp_path / "missing.yaml")]).exit_code == 2
    assert runner.invoke(app, ["plan", str(file), "--running", str(file)]).exit_code == 1


STARTED = "driver options change, it is started again"
ELSE = "what else is said of it changes"


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ("ims:2nd_test", "ims:1st_test", ("~", "vibration", f": {STARTED}")),
        ("pin: 5", "pin: 6", ("~", "relay", f": {STARTED}")),
        ("safe: off", "safe: on", ("~", "relay", f": {STARTED}")),
        ("env:OPS_WEBHOOK", "env:OTHER", ("~", "operator", f": {STARTED}")),
        ('WEBHOOK", effect: idempotent', 'WEBHOOK"', ("~", "operator", f": {ELSE}")),
        ("1 in 20", "1 in 10", ("~", "report", ": its settings change")),
        ("  relay:     {from: alarm, at: pump, driver: gpio, pin: 5, effect: idempotent, safe: off}\n", "", ("-", "relay", "")),
        ("unit: m/s2", "unit: gn", None),  # nobody here is told of it
    ],
)
def test_whatever_would_change_is_named(file: Path, tmp_path: Path, before: str, after: str, change: tuple[str, str, str] | None) -> None:
    runner, kept = CliRunner(), tmp_path / "plan.json"
    runner.invoke(app, ["plan", str(file), "--json", str(kept)])
    running = json.loads(kept.read_text())
    file.write_text(APP.replace(before, after))
    found = runner.invoke(app, ["plan", str(file), "--running", str(kept)])
    told = {line.strip() for line in found.stdout.partition("\nChanges\n")[2].splitlines()}
    there = {**running["placement"], **running["pinned"]}
    sign, thing, why = change or ("", "", "")
    assert told == {f"{sign} {name}  {one['node']}{why}" for name, one in there.items() if name.partition("@")[0] == thing}
    assert (found.exit_code, "Nothing to change" in found.stdout) == ((3, False) if change else (0, True))


def test_code_of_ones_own_that_changes_is_named(tmp_path: Path) -> None:
    runner, kept, own = CliRunner(), tmp_path / "plan.json", tmp_path / "own.py"
    own.write_text("class Own:\n    def on(self, sample):\n        return []\n")
    file = tmp_path / "eddy.yaml"
    file.write_text(
        "app: a\nnodes: {gw: {tier: gateway}}\nsources: {s: {at: gw, driver: simulated}}\nfunctions: {f: {use: own.py:Own, from: s}}\n"
    )
    first = runner.invoke(app, ["plan", str(file), "--json", str(kept)])
    assert "+ s  gw" in first.stdout and "+ f  gw" in first.stdout
    assert runner.invoke(app, ["plan", str(file), "--running", str(kept)]).exit_code == 0
    own.write_text(own.read_text().replace("[]", "[1]"))
    changed = runner.invoke(app, ["plan", str(file), "--running", str(kept)])
    assert changed.exit_code == 3 and changed.stdout.endswith("Changes\n  ~ f  gw: its settings change\n")
