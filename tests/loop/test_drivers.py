"""The loop as an app runs it: a sink and sources that share a knowledge base, and a hub that signs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pumps import ELSEWHEN, FEATURES, Pump, Site, contents

from eddy.errors import BadInput, LinkTimeout, Refused, StorageFull
from eddy.kernel.codec import decode, encode
from eddy.kernel.features import NAMES
from eddy.kernel.function import Sample
from eddy.kernel.package import DOMAIN, Manifest, read
from eddy.knowledge.base import KnowledgeBase
from eddy.links.driver import Home, start
from eddy.loop import Loop
from eddy.loop.drivers import Champions, Pool, Reports, folder_of, settings_of
from eddy.pool.judging import Judge
from eddy.security.signing import SigningKey

DEVICES = {"report@pump-1": "pump-1"}
JUDGED: dict[str, Any] = {
    "features": list(NAMES),
    "uses": FEATURES,
    "trees": 20,
    "subsample": 48,
    "quantile": 950,
    "rows": 80,
    "seed": 7,
    "pool_trees": [5, 10],
    "pool_quantile": 950,
    "replace": [5, 24 * 3_600_000],
    "decide": "majority",
}


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    return SigningKey.load_or_create(tmp_path_factory.mktemp("key") / "key.pem")


class Hub:
    """Signs what it is asked for, when it is there; questions and answers cross the wire as bytes."""

    def __init__(self, key: SigningKey) -> None:
        self.key, self.there, self.asked = key, True, list[bytes]()

    def ask(self, question: list[Any]) -> Any:
        asked: Any = decode(encode(question))
        what, manifest = asked
        assert what == "sign"
        self.asked.append(manifest)
        return self.key.sign(DOMAIN + manifest) if self.there else None


class App:
    """A pump, its judge, and the drivers of one node, by their programs as the planner writes them."""

    def __init__(self, folder: Path, key: SigningKey) -> None:
        self.hub, self.folder = Hub(key), folder
        self.home = Home(folder, self.hub.ask)
        self.pump = Pump(key, quantile=750)
        self.judge = Judge(list(NAMES), dict(DEVICES))
        self.reports: Reports = self.driver("Reports", devices=DEVICES, settings=JUDGED)
        self.pool: Pool = self.driver("Pool", resume=0)
        self.champions: Champions = self.driver("Champions", device="pump-1", resume=0)
        self.written = self.announced = self.given = 0

    def driver(self, name: str, resume: int | None = None, **arguments: Any) -> Any:
        more = {} if resume is None else {"resume": resume}
        return start(["eddy.loop.drivers", name, {"model": "pump", **arguments}], self.home, **more)

    def run(self, windows: int) -> "App":
        """What the pump says goes to the judge, its outputs to the sink, and what the source says back to the judge."""
        self.pump.run(windows)
        while self.pump.told < len(self.pump.said):
            time_ns, value = self.pump.said[self.pump.told]
            for out in self.judge.on(Sample("report", "report@pump-1", self.pump.told, time_ns, value)):
                self.reports.write(f"judge/judge/{self.written}", time_ns, decode(encode(out)))
                self.written += 1
            self.pump.told += 1
            while self.loop.announcement(self.announced) is not None:
                said = self.pool.read()
                assert said is not None
                self.judge.on(Sample("pool", "pump.pool", self.announced, said[0], decode(encode(said[1]))))
                self.announced += 1
        return self

    def until_replaced(self) -> "App":
        while self.loop.package("pump-1", self.given) is None:
            self.run(10)
        return self

    @property
    def loop(self) -> Loop:
        """Of another connection, to look in."""
        if not hasattr(self, "_loop"):
            self._loop = Loop(KnowledgeBase(folder_of(self.folder, "pump") / "knowledge.db"))
        return self._loop


@pytest.fixture
def app(tmp_path: Path, key: SigningKey) -> Iterator[App]:
    app = App(tmp_path, key)
    yield app
    for driver in (app.reports, app.pool, app.champions):
        driver.close()
    app.loop.base.close()


def test_a_champion_is_replaced_by_way_of_the_drivers(app: App) -> None:
    said = app.until_replaced().champions.read()
    assert said is not None
    assert app.pump.take(said[1]) == {"e": "installed", "sequence": 1}
    app.run(40)
    status = app.loop.status()["pump-1"]
    assert status["champion"]["sequence"] == 1
    assert app.loop.registry.model(status["champion"]["model"]).wire == app.pump.forest.to_wire()
    assert (status["scores_compared"] > 0, status["scores_differing"]) == (True, 0)


def test_what_the_hub_sees_is_the_manifest_and_not_what_is_in_the_package(app: App) -> None:
    said = app.until_replaced().champions.read()
    assert said is not None
    (manifest,) = app.hub.asked
    asked = Manifest.decode(manifest)
    assert (asked.cls, asked.device, asked.sequence) == ("pump", "pump-1", 1)
    _, _, body = read(said[1])
    assert bytes(body) not in manifest and asked.size == len(body)


def test_a_hub_that_does_not_answer_is_told_and_the_package_waits(app: App) -> None:
    app.until_replaced().hub.there = False
    for _ in range(2):
        with pytest.raises(LinkTimeout, match="hub"):
            app.champions.read()
    app.hub.there = True
    said = app.champions.read()
    assert said is not None and read(said[1])[0].sequence == 1
    assert app.champions.read() is None


def test_sources_go_on_where_what_is_kept_ends(app: App) -> None:
    app.until_replaced()
    first = app.champions.read()
    assert first is not None
    app.pump.take(first[1])
    app.loop.configure("pump-1", threshold=50_000)
    app.run(0)
    again: Champions = app.driver("Champions", device="pump-1", resume=0)
    later: Champions = app.driver("Champions", device="pump-1", resume=1)
    elsewhere: Champions = app.driver("Champions", device="pump-2", resume=0)
    repeated, second = again.read(), later.read()
    assert repeated is not None and second is not None
    assert repeated[1] == first[1], "the same bytes"
    assert read(second[1])[0].sequence == 2
    assert elsewhere.read() is None
    middle = app.announced // 2
    pool: Pool = app.driver("Pool", resume=middle)
    said = [pool.read() for _ in range(app.announced - middle)]
    assert [one[1] for one in said if one] == [app.loop.announcement(position) for position in range(middle, app.announced)]
    assert pool.read() is None
    for one in (again, later, elsewhere, pool):
        one.close()


def test_what_was_written_is_there_when_the_node_ends_and_a_repetition_changes_nothing(app: App) -> None:
    app.run(120)
    before = contents(app.loop.base)
    app.reports = app.driver("Reports", devices=DEVICES, settings=JUDGED)  # the first one is never closed, as in a power cut
    time_ns, _ = app.pump.said[-1]
    for key_of in (f"judge/judge/{app.written - 1}",):
        app.reports.write(key_of, time_ns, [-1, 2, [0] * 12, 0, "report@pump-1", 2, 0, -1, {}, 0, 0])
    assert contents(app.loop.base) == before
    assert app.until_replaced().champions.read() is not None


@pytest.mark.parametrize("value", ["?", [1, 2], [-1, 3, {"e": "installed"}, 0, "report@pump-1", 3, 0, -1, {}, 0, 0]])
def test_what_no_judge_says_is_refused_for_good(app: App, value: Any) -> None:
    with pytest.raises(Refused):
        app.reports.write("k", 0, value)
    app.run(5)


def test_a_full_disk_is_no_refusal_it_comes_again(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    app.run(90)
    connection = app.reports._base.connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageFull):
        for _ in range(100):
            app.run(10)
    connection.execute("PRAGMA max_page_count = 1000000")
    app.run(10)
    stored = len(app.loop.base.table("windows"))
    assert stored == sum(1 for _, value in app.pump.said if value[1] != 3)


def test_models_do_not_share_what_they_know(app: App) -> None:
    app.run(20)
    other = start(["eddy.loop.drivers", "Pool", {"model": "other"}], app.home, resume=0)
    assert other.read() is None
    other.close()
    assert sorted(folder.name for folder in (app.folder / "loops").iterdir()) == ["other", "pump"]


def test_the_settings_are_those_that_the_app_declares() -> None:
    chosen = settings_of(JUDGED)
    search = chosen.training.search
    assert (chosen.columns, search.trees, search.quantile, search.seed) == (NAMES, (5, 10), 950, 7)
    assert search.features[0] == tuple(FEATURES) and search.subsample == (48, 64)
    assert chosen.replacement is not None
    assert (chosen.replacement.false_positives, chosen.replacement.within_ns) == (5, 24 * 3_600 * 10**9)
    assert settings_of({**JUDGED, "replace": []}).replacement is None
    assert settings_of({**JUDGED, "decide": "rank"}).strategy == "rank"


def test_a_driver_that_gets_something_else_says_so(app: App) -> None:
    with pytest.raises(BadInput):
        app.driver("Champions", resume=0)
    with pytest.raises(Refused):
        start(["eddy.loop.drivers", "Nothing", {}], app.home)


def test_a_site_and_an_app_of_drivers_know_the_same(app: App, tmp_path: Path, key: SigningKey) -> None:
    app.run(150)
    site = Site(tmp_path / "site", key, settings_of(JUDGED))
    site.hear(Pump(key, quantile=750).run(150))
    assert site.loop.status() == app.loop.status()
    assert app.pump.time_ns < ELSEWHEN
