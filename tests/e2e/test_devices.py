"""A device that nobody knows sends, is seen, and is approved: what it sends then is in the lake, and what has waited in quarantine."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from running import Running
from senders import free_port
from typer.testing import CliRunner

from eddy.cli.main import app
from eddy.errors import EddyError
from eddy.knowledge.query import Lake

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

APP = """
app: house
nodes:
  gw: {tier: gateway}
sources:
  room: {at: gw, driver: http, listen: "127.0.0.1:PORT", time: t, origin: id, allow: [hall], unknown: wait, tokens: {"*": "env:ROOMS"}}
sinks:
  lake: {from: room, at: gw, driver: lake, to: lake}
"""
TOKEN = "0123456789abcdef-rooms"


def post(port: int, device: str, value: int) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/", json.dumps({"id": device, "t": value, "v": value}).encode(), {"Authorization": f"Bearer {TOKEN}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def eddy(url: str, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, [*arguments, "--hub", url], env={"COLUMNS": "200"})
    return done.exit_code, done.output


def rows(folder: Path, query: str) -> list[Any]:
    try:
        return [tuple(row.values()) for row in Lake(folder / "lake").query(query).rows()]
    except EddyError:  # there is no such table yet
        return []


def test_a_device_waits_is_approved_at_the_command_line_and_then_its_samples_are_in_the_lake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOMS", TOKEN)
    port = free_port()
    with Running(tmp_path / "app", APP.replace("PORT", str(port))) as running:
        assert running.hub
        url = (running.folder / ".eddy" / "hub" / "api.url").read_text()

        def said(device: str, value: int) -> dict[str, Any]:
            running.until(lambda: post(port, device, value)[0] in (200, 400), 60)  # it may not listen yet
            return post(port, device, value + 1)[1]

        assert said("hall", 1) == {"kept": 1, "quarantined": 0}
        reason = "origin kitchen waits for approval: eddy devices approve kitchen --source room"
        assert said("kitchen", 10) == {"kept": 0, "quarantined": 1, "reason": reason}
        running.until(lambda: "kitchen  waiting  2 waited" in eddy(url, "devices", "--waiting")[1], 30)
        assert "devices that wait for approval: 1" in eddy(url, "status")[1]
        with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:
            assert 'eddy_devices_waiting{app="house",source="room"} 1' in answer.read().decode().splitlines()

        code, told = eddy(url, "devices", "approve", "k*", "--source", "room", "--by", "ada")
        assert code == 0 and "k* may send to room, says ada" in told, told
        running.until(lambda: post(port, "kitchen", 20)[1]["kept"] == 1, 30)
        running.kill("gw")
        running.until(lambda: post(port, "kitchen", 30)[1]["kept"] == 1, 60)
        assert "approve the device k*" in eddy(url, "why", "room")[1]
        assert "No device waits." in eddy(url, "devices", "--waiting")[1]
        running.until(
            lambda: {("kitchen", 20), ("kitchen", 30), ("hall", 1)} <= set(rows(running.folder, "select origin, v from room")), 60
        )
        assert not {value for origin, value in rows(running.folder, "select origin, v from room") if origin == "kitchen"} & {10, 11}
        kept = rows(running.folder, "select sender, payload from quarantine where reason like '%waits%'")
        assert {10, 11} <= {json.loads(payload)["v"] for sender, payload in kept if sender == "kitchen"}

        assert eddy(url, "devices", "refuse", "kitchen", "--source", "room", "--by", "ada")[0] == 0
        running.until(lambda: post(port, "kitchen", 40)[0] == 400, 30)
        assert "was refused" in post(port, "kitchen", 41)[1]["reason"]
    logged = "".join(file.read_text(errors="replace") for file in (tmp_path / "app").rglob("*.log"))
    assert logged and TOKEN not in logged
