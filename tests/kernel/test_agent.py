"""What a device does, step by step of the paper's section IV, and what it refuses."""

from pathlib import Path
from typing import Any

import pytest
from rig import WINDOW, Rig, Tape, healthy, worn

from eddy.kernel.engines import ANOMALOUS, NORMAL, TRAINING
from eddy.kernel.errors import StorageFull
from eddy.kernel.features import NAMES
from eddy.kernel.forest import Forest
from eddy.kernel.hop import Gap
from eddy.kernel.store import FileStore, write_map
from eddy.kernel.trainer import Trainer
from eddy.security.signing import SigningKey

CHAMPION = ["rms", "mean_abs_difference", "peak_to_peak"]


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def forest(rows: list[list[int]], seed: int = 9, trees: int = 5) -> Forest:
    """A gateway's forest on the champion's features of reported windows."""
    columns = [NAMES.index(name) for name in CHAMPION]
    flat = [row[i] for row in rows for i in columns]
    trainer = Trainer(flat, len(columns), trees, 32, seed)
    while trainer.step():
        pass
    made = trainer.forest()
    made.calibrate(flat, 990)
    return made


def test_it_trains_its_own_champion_from_the_first_windows_and_then_finds_the_fault(rig: Rig) -> None:
    rig.boot(healthy(100) + worn(10))
    rig.run()
    windows = rig.gate.windows()
    assert [w[0] for w in windows if w[2] == TRAINING] == list(range(40))
    (trained,) = rig.gate.events("trained")
    assert trained["rows"] == 40
    assert trained["trees"] == 10
    assert all(w[2] == ANOMALOUS and w[1] > trained["threshold"] for w in windows if w[0] >= 100)
    assert len([w for w in windows if w[0] >= 100]) == 10


def test_it_reports_every_anomaly_and_every_nth_normal_window(rig: Rig) -> None:
    rig.boot(healthy(140))
    rig.run()
    counts = rig.agent.counts
    judged = [w for w in rig.gate.windows() if w[2] != TRAINING]
    assert len([w for w in judged if w[2] == ANOMALOUS]) == counts["anomalies"]
    assert len([w for w in judged if w[2] == NORMAL]) == (100 - counts["anomalies"]) // 5


def test_the_reported_windows_hold_every_feature_so_that_the_pool_may_use_others(rig: Rig) -> None:
    rig.boot(healthy(3))
    rig.run()
    assert all(len(w[4]) == len(NAMES) for w in rig.gate.windows())


def test_a_package_replaces_the_champion_and_is_confirmed_once_it_has_scored(rig: Rig) -> None:
    rig.boot(healthy(120))
    rig.run(lambda: bool(rig.gate.events("trained")))
    made = forest([w[4] for w in rig.gate.windows()])
    rig.deploy(1, model=made.to_wire(), features=CHAMPION)
    rig.run(lambda: bool(rig.gate.events("installed")))
    rig.gate.package = None
    rig.run()
    assert [e["sequence"] for e in rig.gate.events("confirmed")] == [1]
    later = [w for w in rig.gate.windows() if w[3] == 1]
    columns = [NAMES.index(name) for name in CHAMPION]
    assert later
    assert all(w[1] == made.score([w[4][i] for i in columns]) for w in later)


def test_a_package_without_a_model_changes_the_threshold_of_the_one_that_runs(rig: Rig) -> None:
    rig.boot(healthy(120))
    rig.run(lambda: bool(rig.gate.events("trained")))
    rig.deploy(1, configuration={"threshold": 0, "normal_every": 2})
    rig.run(lambda: bool(rig.gate.events("installed")))
    rig.gate.package = None
    rig.run()
    later = [w for w in rig.gate.windows() if w[3] == 1]
    assert later
    assert all(w[2] == ANOMALOUS for w in later)


@pytest.mark.parametrize(
    ("code", "package"),
    [
        (201, {"sign": lambda data: bytes(64)}),
        (203, {"device": "pump-2"}),
        (104, {"features": ["loudness", "rms", "mean"]}),
        (104, {"features": ["rms"]}),
        (100, {"configuration": {"threshold": 70000}}),
        (100, {"configuration": {"normal_every": 0}}),
        (100, {"configuration": {"window": 512}}),
        (104, {"model": b"\x01\x02\x03"}),
    ],
    ids=[
        "foreign signature",
        "another device",
        "unknown feature",
        "wrong number of features",
        "absurd threshold",
        "absurd sampling",
        "setting of another time",
        "no forest",
    ],
)
def test_what_it_cannot_run_is_refused_with_a_reason_and_the_champion_goes_on(rig: Rig, code: int, package: dict[str, Any]) -> None:
    rig.boot(healthy(120))
    rig.run(lambda: bool(rig.gate.events("trained")))
    made = forest([w[4] for w in rig.gate.windows()])
    rig.deploy(1, **{"model": made.to_wire(), "features": CHAMPION, **package})
    rig.run(lambda: bool(rig.gate.events("refused")))
    rig.gate.package = None
    rig.run()
    (refused,) = rig.gate.events("refused")
    assert refused["code"] == code
    assert refused["why"]
    assert {w[3] for w in rig.gate.windows()} == {0}
    assert rig.agent.counts["windows"] == 120


def test_an_older_package_is_refused(rig: Rig) -> None:
    rig.boot(healthy(140))
    rig.run(lambda: bool(rig.gate.events("trained")))
    rig.deploy(5, configuration={"normal_every": 3})
    rig.run(lambda: bool(rig.gate.events("installed")))
    rig.deploy(4, configuration={"normal_every": 4})
    rig.run(lambda: bool(rig.gate.events("refused")))
    rig.gate.package = None
    rig.run()
    assert [(e["code"], e["sequence"]) for e in rig.gate.events("refused")] == [(202, 5)]


def test_a_package_larger_than_the_line_takes_is_not_taken_and_the_gateway_is_told(rig: Rig) -> None:
    rig.boot(healthy(60))
    rig.run(lambda: bool(rig.gate.events("trained")))
    rig.deploy(1, model=bytes(40_000), features=CHAMPION)
    rig.run(lambda: bool(rig.gate.refused))
    rig.run()
    assert rig.gate.refused == [1]
    assert rig.agent.counts["windows"] == 60


def test_a_dead_or_overdriven_sensor_is_told_once_and_never_learned_from(rig: Rig) -> None:
    stuck = [[7] * WINDOW] * 4
    clipped = [[-32768, 32767] * (WINDOW // 2)] * 3
    rig.boot(healthy(20) + stuck + clipped + healthy(40, seed=3))
    rig.run()
    assert [e["reason"] for e in rig.gate.events("sensor")] == [1, 2, 0]
    assert rig.agent.counts["unusable"] == 7
    assert not {w[0] for w in rig.gate.windows()} & set(range(20, 27))


def test_what_was_not_acknowledged_survives_a_power_cut_and_the_champion_runs_again(rig: Rig) -> None:
    rig.boot(healthy(60))
    rig.run(lambda: len(rig.gate.windows()) >= 42)
    rig.gate.down = True
    for _ in range(200):
        rig.agent.step()
        rig.proxy.service()
        rig.clock.advance(50)
    heard = len(rig.gate.records)
    rig.gate.down = False
    rig.boot(worn(5), start=100)  # everything in RAM is gone
    rig.run()
    assert len(rig.gate.records) > heard
    assert [e["sequence"] for e in rig.gate.events("boot")] == [0, 0]
    assert len(rig.gate.events("trained")) == 1
    assert len([w for w in rig.gate.windows() if w[2] == ANOMALOUS]) >= 5
    indexes = [w[0] for w in rig.gate.windows()]
    assert len(indexes) == len(set(indexes))


def test_a_training_that_was_cut_off_goes_on_where_its_last_checkpoint_stood(rig: Rig) -> None:
    rig.boot(healthy(30))
    rig.run()
    rig.boot(healthy(30, seed=5), start=100)
    rig.run()
    (trained,) = rig.gate.events("trained")
    assert trained["rows"] == 40
    assert rig.agent.counts["windows"] == 30


def test_a_champion_on_trial_that_never_proves_itself_is_given_up_after_three_starts(rig: Rig) -> None:
    rig.boot(healthy(60))
    rig.run(lambda: bool(rig.gate.events("trained")))
    rig.deploy(1, configuration={"normal_every": 2})
    rig.run(lambda: bool(rig.gate.events("installed")))
    rig.gate.package = None
    for _ in range(4):
        rig.boot([])
        rig.run()
    assert [e["sequence"] for e in rig.gate.events("boot")] == [0, 1, 1, 1, 0]


def test_full_flash_costs_reports_that_are_numbered_and_nothing_else(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.boot(healthy(60))
    rig.run(lambda: len(rig.gate.windows()) >= 10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FileStore, "append", _full)
        rig.run(lambda: rig.agent.counts["lost"] >= 5)
    rig.run()
    assert rig.agent.counts["windows"] == 60
    missing = sum(r.value.last - r.value.first + 1 for r in rig.gate.records if isinstance(r.value, Gap))
    assert missing >= rig.agent.counts["lost"]


def _full(self: FileStore, seq: int, data: bytes) -> None:
    raise StorageFull("no room in flash: fewer reports must be kept, or a larger flash is needed")


def test_another_key_is_another_owner(rig: Rig, tmp_path: Path) -> None:
    stranger = SigningKey.load_or_create(tmp_path / "stranger.pem")
    rig.boot(healthy(60))
    rig.run(lambda: bool(rig.gate.events("trained")))
    rig.deploy(1, sign=stranger.sign, configuration={"normal_every": 2})
    rig.run(lambda: bool(rig.gate.events("refused")))
    assert rig.gate.events("refused")[0]["code"] == 201


def test_what_was_delivered_is_forgotten_so_that_a_device_may_report_for_years(rig: Rig) -> None:
    rig.settings["normal_every"] = 1
    rig.boot(healthy(200))
    rig.run()
    assert rig.agent._comm.arq.finished() == []


class Broken(Tape):
    """Its clock and its rate are not of this world."""

    def read(self, ready: bool) -> tuple[memoryview, int, int] | None:
        chunk = super().read(ready)
        if chunk is None or self._at % 3 == 1:
            return chunk
        return (chunk[0], chunk[1], 0) if self._at % 3 else (chunk[0], 1 << 63, chunk[2])


def test_samples_that_cannot_be_are_told_and_the_device_goes_on(rig: Rig) -> None:
    rig.boot([])
    rig.agent._driver = Broken(healthy(30))
    rig.run()
    assert 3 in [event["reason"] for event in rig.gate.events("sensor")]
    assert len(rig.gate.windows()) >= 10


def test_samples_in_front_of_a_gap_in_time_are_told(rig: Rig) -> None:
    rig.boot([signal[: WINDOW // 2] for signal in healthy(10)])
    rig.run()
    assert rig.agent.counts["windows"] == 0
    assert rig.agent.counts["dropped"] == 9 * WINDOW // 2
    assert [event["samples"] for event in rig.gate.events("dropped")] == [WINDOW // 2 * n for n in (1, 3, 7)]


def test_the_first_package_brings_model_and_pipeline_together(rig: Rig) -> None:
    rig.boot(healthy(10))
    rig.run(lambda: len(rig.gate.windows()) >= 3)
    made = forest([list(range(i * i, i * i + len(NAMES))) for i in range(40)])
    rig.deploy(1, model=made.to_wire())
    rig.run(lambda: bool(rig.gate.events("refused")))
    rig.gate.package = None
    rig.run()
    assert len(rig.gate.windows()) == 10


def test_a_configuration_for_another_package_than_the_one_that_runs_is_refused(rig: Rig) -> None:
    rig.boot(healthy(60))
    rig.run(lambda: bool(rig.gate.events("trained")))
    rig.deploy(1, predecessor=b"another!", configuration={"threshold": 1})
    rig.run(lambda: bool(rig.gate.events("refused")))
    rig.gate.package = None
    rig.run()
    assert {w[3] for w in rig.gate.windows()} == {0}


def test_a_trial_before_there_was_any_champion_goes_back_to_learning(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.boot(healthy(80))
    rig.run(lambda: len(rig.gate.windows()) >= 10)
    made = forest([w[4] for w in rig.gate.windows()])
    rig.deploy(1, model=made.to_wire(), features=CHAMPION)
    rig.run(lambda: bool(rig.gate.events("installed")))
    rig.gate.package = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Forest, "score", _no_room)
        rig.run(lambda: bool(rig.gate.events("reverted")))
    rig.run()
    assert [event["rows"] for event in rig.gate.events("trained")] == [40]


def _no_room(self: Forest, row: list[int]) -> int:
    raise MemoryError


def test_window_numbers_are_never_given_twice_however_often_the_power_fails(rig: Rig) -> None:
    rig.settings["normal_every"] = 1
    for start in range(12):
        rig.boot(healthy(7, seed=start), start=100 * start)
        rig.run()
    indexes = [window[0] for window in rig.gate.windows()]
    assert len(indexes) == 84
    assert indexes == sorted(set(indexes))


def test_a_reservation_that_found_no_room_is_made_by_the_next_window(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.settings["normal_every"] = 1
    rig.boot(healthy(60))
    rig.run()
    calls: list[str] = []

    def once_full(path: str, value: dict[object, object]) -> None:
        calls.append(path)
        if len(calls) == 1:
            raise StorageFull("no room")
        write_map(path, value)

    with monkeypatch.context() as patch:
        patch.setattr("eddy.kernel.agent.write_map", once_full)
        rig.boot(healthy(10, seed=5), start=100)
        rig.run()
    rig.boot(healthy(10, seed=6), start=200)
    rig.run()
    indexes = [window[0] for window in rig.gate.windows()]
    assert indexes == sorted(set(indexes))
    assert len(indexes) >= 79
