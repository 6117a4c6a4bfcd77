"""The model where it works: it trains itself, takes packages with other champions, and says what became of them."""

from array import array
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eddy.kernel import package
from eddy.kernel.engines import LocalTraining
from eddy.kernel.errors import (
    BadInput,
    EddyError,
    ManifestError,
    ModelError,
    OutOfMemory,
    Refused,
    RollbackError,
    SampleError,
    SignatureError,
    WrongTarget,
)
from eddy.kernel.features import compute
from eddy.kernel.forest import Forest
from eddy.kernel.function import CONFIGURE, SAMPLE, TICK, Instance, Sample
from eddy.kernel.functions.condition import Condition
from eddy.kernel.functions.forward import Forward
from eddy.kernel.functions.model import Model
from eddy.kernel.rng import Rng
from eddy.security.signing import SigningKey

NAMES = ["rms", "peak_to_peak", "kurtosis"]
USES = ["rms", "peak_to_peak"]
OTHERS = ["kurtosis", "rms"]  # what the champion of a package looks at
ROWS, TREES = 40, 10


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    return SigningKey.load_or_create(tmp_path_factory.mktemp("key") / "key.pem")


def rows(count: int, loudness: int = 1) -> list[list[int]]:
    rng = Rng(3)
    return [compute(array("h", [(rng.below(2001) - 1000) * loudness // 10 for _ in range(64)]), NAMES) for _ in range(count)]


def learning(key: SigningKey | None = None, **other: Any) -> Model:
    home = {"home": ["health", "pump-1"], "key": key.public_bytes()} if key else {}
    shape = {"trees": TREES, "subsample": 32, "quantile": 980, "rows": ROWS, "seed": 1}
    return Model(NAMES, **{**shape, "uses": USES, **home, **other})


def feed(model: Model, values: list[Any]) -> list[Any]:
    return [out for i, value in enumerate(values) for out in model.on(Sample("s", "o", i, i, value))]


def grown(model: Model) -> Model:
    """The news of the training are left out."""
    while model.every_ms:
        model.tick(0)
    return model


def trained(key: SigningKey | None = None, **other: Any) -> Model:
    model = learning(key, **other)
    feed(model, rows(ROWS))
    return grown(model)


def forest(seed: int = 7, trees: int = 4) -> Forest:
    """Of another training, on other features."""
    engine = LocalTraining(OTHERS, ROWS, trees, 32, 900, seed, NAMES)
    for row in rows(ROWS):
        engine.on(Sample("s", "o", 0, 0, row))
    while not (forests := engine.tick(0)):
        continue
    made: Forest = forests[0]
    return made


def packed(
    key: SigningKey,
    sequence: int = 1,
    model: Forest | None = None,
    features: list[str] | None = None,
    device: str = "pump-1",
    cls: str = "health",
    predecessor: bytes = b"",
    **configuration: Any,
) -> bytes:
    wire = model.to_wire() if model else None
    body = package.encode_body(wire, features or (OTHERS if model else None), configuration or None)
    return package.build(cls, device, sequence, body, key.sign, predecessor=predecessor)


def take(model: Model, data: bytes) -> dict[str, Any]:
    """What the model says about a package."""
    ((score, label, news),) = feed(model, [data])
    assert (score, label) == (-1, 3)
    told: dict[str, Any] = news
    return told


@pytest.fixture(scope="module")
def running(key: SigningKey) -> Model:
    return trained(key)


# It trains


def test_it_learns_first_says_so_and_then_tells_loud_from_ordinary() -> None:
    model = learning()
    assert {(score, label) for score, label, _ in feed(model, rows(ROWS))} == {(-1, 2)}
    said: list[Any] = []
    while model.every_ms:
        said += model.tick(0)
    told = {"trees": TREES, "subsample": 32, "rows": ROWS, "quantile": 980, "seed": 1, "features": USES}
    assert said == [[-1, 3, {"e": "trained", "threshold": model.state()[2][1], **told}]]
    assert sum(label for _, label, _ in feed(model, rows(ROWS))) <= 1  # the quantile: 2 % of its own training rows
    score, label, row = feed(model, rows(1, 9))[0]
    assert (label, row) == (1, rows(1, 9)[0]) and score > 0


def test_it_grows_a_tree_a_tick_and_wants_ticks_only_then() -> None:
    model = learning()
    feed(model, rows(ROWS - 1))
    assert model.every_ms == 0
    feed(model, rows(1))
    ticks = 0
    while model.every_ms:
        model.tick(0)
        ticks += 1
    assert ticks == TREES + 1  # the last one finds all trees there
    assert model.tick(0) == []


def test_its_scores_are_those_of_the_forest_that_the_engines_train() -> None:
    engine = LocalTraining(USES, ROWS, TREES, 32, 980, 1, NAMES)
    for row in rows(ROWS):
        engine.on(Sample("s", "o", 0, 0, row))
    while not (forests := engine.tick(0)):
        continue
    expected = [forests[0].score(row[:2]) for row in rows(20, 3)]
    assert [score for score, _, _ in feed(trained(), rows(20, 3))] == expected


def test_a_dead_or_overdriven_sensor_is_neither_learned_from_nor_judged() -> None:
    model = learning()
    dead, overdriven = [0, 0, 5], [9, 16 * 65535, 5]
    assert feed(model, [dead] * ROWS + [overdriven] * ROWS) == [[-1, 2, dead]] * ROWS + [[-1, 2, overdriven]] * ROWS
    assert model.every_ms == 0
    assert feed(trained(), [dead]) == [[-1, 2, dead]]


def test_another_threshold_takes_over() -> None:
    model = trained()
    model.configure({"threshold": 0})
    assert [label for _, label, _ in feed(model, rows(9))] == [1] * 9


def test_it_scores_with_the_old_forest_until_the_new_one_is_trained() -> None:
    model = trained()
    before = feed(model, rows(30, 3))
    model.configure({"retrain": 2})
    assert feed(model, rows(30, 3)) == before
    feed(model, rows(10, 3))
    grown(model)
    assert sum(label for _, label, _ in before) == 30 and sum(label for _, label, _ in feed(model, rows(30, 3))) <= 1


def test_rows_of_another_shape_are_told() -> None:
    for wrong in ([1, 2], [1, 2, 3, 4], "row", 5, None):
        with pytest.raises(SampleError, match="3 features"):
            trained().on(Sample("s", "o", 0, 0, wrong))


# It takes packages


def test_another_champion_comes_in_a_package_and_judges_from_the_next_row_on(key: SigningKey) -> None:
    model, other = trained(key), forest()
    assert take(model, packed(key, 5, other)) == {"e": "installed", "sequence": 5}
    columns = [NAMES.index(name) for name in OTHERS]
    expected = [other.score([row[i] for i in columns]) for row in rows(20, 3)]
    assert [score for score, _, _ in feed(model, rows(20, 3))] == expected
    assert [label for _, label, _ in feed(model, rows(20, 3))] == [int(score > other.threshold) for score in expected]


def test_a_package_ends_a_training_that_is_under_way(key: SigningKey) -> None:
    ran = trained(key)
    take(ran, packed(key, 1, forest()))
    for fed in (0, 5, ROWS):
        model = learning(key)
        feed(model, rows(fed))
        assert take(model, packed(key, 1, forest()))["e"] == "installed"
        assert (model.every_ms, model.tick(0)) == (0, [])
        assert feed(model, rows(9, 3)) == feed(ran, rows(9, 3))


def test_a_configuration_alone_is_for_what_runs_and_follows_it(key: SigningKey) -> None:
    model = trained(key)
    before = feed(model, rows(9))
    assert take(model, packed(key, 1, threshold=0)) == {"e": "installed", "sequence": 1}
    assert [(score, label) for score, label, _ in feed(model, rows(9))] == [(score, 1) for score, _, _ in before]
    first = packed(key, 2, forest(), threshold=9)
    assert take(model, first)["e"] == "installed"
    assert model.state()[2][1] == 9, "not that of the forest"
    for predecessor in (b"", b"12345678"):
        refused = take(model, packed(key, 3, predecessor=predecessor, threshold=65536))
        assert (refused["code"], model.state()[2][1]) == (Refused.code, 9)
    body = package.read(first)[2]
    assert take(model, packed(key, 3, predecessor=package.fingerprint(body), threshold=65536))["e"] == "installed"
    assert [label for _, label, _ in feed(model, rows(9, 9))] == [0] * 9


def test_it_trains_anew_after_a_package_and_takes_the_next_one(key: SigningKey) -> None:
    model = trained(key)
    take(model, packed(key, 1, forest()))
    foreign = feed(model, rows(30, 3))
    model.configure({"retrain": 8})
    assert feed(model, rows(ROWS, 3))[:30] == foreign
    said = []
    while model.every_ms:
        said += model.tick(0)
    assert [(news["e"], news["seed"], news["features"]) for _, _, news in said] == [("trained", 8, USES)]
    assert feed(model, rows(30, 3)) != foreign
    assert take(model, packed(key, 1, forest()))["code"] == RollbackError.code
    assert take(model, packed(key, 2, forest(9)))["e"] == "installed"


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"device": "pump-2"}, WrongTarget),
        ({"cls": "other"}, WrongTarget),
        ({"sequence": 4}, RollbackError),
        ({"sequence": 3}, RollbackError),
        ({"features": ["rms"]}, ModelError),
        ({"features": ["rms", "mean"]}, ModelError),
        ({"features": ["rms", "smell"]}, ModelError),
        ({"threshold": 65537}, BadInput),
        ({"threshold": -1}, BadInput),
        ({"threshold": "high"}, BadInput),
        ({"normal_every": 5}, BadInput),
        ({"model": None, "features": OTHERS}, Refused),
        ({"model": None, "threshold": 5}, Refused),
    ],
)
def test_what_is_not_for_this_model_is_refused_and_the_champion_runs_on(
    key: SigningKey, wrong: dict[str, Any], error: type[EddyError]
) -> None:
    model = trained(key)
    take(model, packed(key, 4, forest(11)))
    before, scores = model.state(), feed(model, rows(9, 3))
    data = packed(key, **{"sequence": 6, "model": forest(), **wrong})
    refused = take(model, data)
    assert (refused["e"], refused["code"], refused["runs"]) == ("refused", error.code, 4)
    assert refused["sequence"] == wrong.get("sequence", 6)
    assert 0 < len(refused["why"]) <= 80
    assert (model.state(), feed(model, rows(9, 3))) == (before, scores)
    assert take(model, packed(key, 5, forest()))["e"] == "installed", "of the number that was refused nothing is left"


def test_nobody_elses_signature_counts(key: SigningKey, tmp_path: Path) -> None:
    model, other = trained(key), SigningKey.load_or_create(tmp_path / "other.pem")
    before = model.state()
    assert take(model, packed(other, 1, forest()))["code"] == SignatureError.code
    assert take(trained(), packed(key, 1, forest()))["code"] == Refused.code, "one without a home takes none"
    keyless = Model(NAMES, TREES, 32, 980, ROWS, 1, USES, ["health", "pump-1"])
    assert take(keyless, packed(key, 1, forest()))["e"] == "refused"
    assert model.state() == before


def flips(data: bytes, every: int) -> list[bytes]:
    changed = [bytes([*data[: bit // 8], data[bit // 8] ^ 1 << bit % 8, *data[bit // 8 + 1 :]]) for bit in range(8 * len(data))]
    return changed[::every]


@pytest.mark.parametrize("every", [pytest.param(29, id="sample"), pytest.param(1, id="all", marks=pytest.mark.slow)])
def test_a_package_with_any_single_bit_changed_is_refused(key: SigningKey, every: int) -> None:
    model, data = trained(key), packed(key, 1, forest(trees=2))
    before = model.state()
    codes = set()
    for changed in flips(data, every):
        news = take(model, changed)
        assert news["e"] == "refused" and news["runs"] == 0
        codes.add(news["code"])
    assert model.state() == before
    assert codes == {ManifestError.code, SignatureError.code}
    assert take(model, data)["e"] == "installed"


@given(st.binary(max_size=200), st.integers(0, 10**6))
def test_whatever_bytes_come_the_champion_runs_on(key: SigningKey, running: Model, junk: bytes, cut: int) -> None:
    good, before = packed(key, 1, forest()), running.state()
    for data in (junk, good[: cut % len(good)], good + junk[:1] + b"\0"):
        assert take(running, data)["e"] == "refused"
    assert running.state() == before


# It has little memory


def full(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """There is no memory for the next so many forests."""
    real, failed = Forest.from_wire, list[bool]()

    def from_wire(*arguments: Any, **more: Any) -> Forest:
        if len(failed) < times:
            failed.append(True)
            raise MemoryError
        return real(*arguments, **more)

    monkeypatch.setattr(Forest, "from_wire", from_wire)


def test_one_that_does_not_fit_leaves_the_champion(key: SigningKey, monkeypatch: pytest.MonkeyPatch) -> None:
    model = trained(key)
    before, scores, data = model.state(), feed(model, rows(9, 3)), packed(key, 1, forest())
    with monkeypatch.context() as small:
        full(small, 1)
        refused = take(model, data)
    assert (refused["e"], refused["sequence"], refused["code"], refused["runs"]) == ("refused", 1, OutOfMemory.code, 0)
    assert (model.state(), feed(model, rows(9, 3))) == (before, scores)
    assert take(model, data)["e"] == "installed"


@pytest.mark.parametrize("fed", [5, ROWS])
def test_one_that_does_not_fit_leaves_a_training_under_way(key: SigningKey, monkeypatch: pytest.MonkeyPatch, fed: int) -> None:
    model = learning(key)
    feed(model, rows(fed))
    with monkeypatch.context() as small:
        full(small, 1)
        assert take(model, packed(key, 1, forest()))["code"] == OutOfMemory.code
    feed(model, rows(ROWS)[fed:])
    assert grown(model).state()[2] == trained(key).state()[2]


# It moves


def log(key: SigningKey) -> list[tuple[int, Any]]:
    """Everything that happens to a model: training, packages good and bad, settings, another training that a package ends."""

    def sample(value: Any) -> tuple[int, Any]:
        return SAMPLE, Sample("s", "o", 0, 0, value)

    first = packed(key, 3, forest())
    entries = [sample(row) for row in rows(ROWS + 2)] + [(TICK, tick) for tick in range(TREES + 2)]
    entries += [sample(row) for row in rows(4, 3)] + [sample(packed(key, 2, device="pump-9", threshold=1)), sample(first), sample(first)]
    entries += [sample(row) for row in rows(4, 3)] + [sample(b"torn")]
    entries += [sample(packed(key, 4, predecessor=package.fingerprint(package.read(first)[2]), threshold=20_000))]
    entries += [sample(row) for row in rows(4, 3)] + [(CONFIGURE, {"threshold": 30_000}), (CONFIGURE, {"retrain": 5})]
    entries += [sample(row) for row in rows(ROWS, 2)] + [(TICK, tick) for tick in range(4)]
    entries += [sample(packed(key, 5, forest(13)))] + [(TICK, 9)] + [sample(row) for row in rows(4, 3)]
    entries += [(CONFIGURE, {"retrain": 6})] + [sample(row) for row in rows(ROWS, 3)] + [(TICK, tick) for tick in range(TREES + 2)]
    return entries + [sample(row) for row in rows(4, 3)]


def test_a_model_that_is_moved_at_every_moment_says_what_its_unmoved_twin_says(key: SigningKey) -> None:
    stayed, moved = Instance(learning(key), "model"), Instance(learning(key), "model")
    told = []
    for entry in log(key):
        checkpoint = moved.checkpoint()
        assert checkpoint == stayed.checkpoint()
        moved = Instance(learning(key), "model")
        moved.restore(checkpoint)
        assert moved.function.every_ms == stayed.function.every_ms
        said = stayed.feed(*entry)
        assert moved.feed(*entry) == said
        told += [value[2]["e"] for value in said if value[1] == 3]
    assert told == ["trained", "refused", "installed", "refused", "refused", "installed", "installed", "trained"]
    assert moved.checkpoint() == stayed.checkpoint()


# What stands behind it


def test_news_pass_a_forward_at_once_with_what_was_held_back() -> None:
    forward = Forward(3)
    news = {"e": "trained"}
    values = [[5, 0, []], [6, 0, []], [-1, 3, news], [7, 0, []], [8, 0, []]]
    passed = [out for value in values for out in forward.on(Sample("s", "o", 0, 0, value))]
    assert passed == [[-1, 3, news, 2], [7, 0, [], 0]]


def test_news_are_no_anomalies_and_do_not_push_any_out() -> None:
    rule = Condition(["anomalies", 2, 3])
    values = [[9, 1, []], [-1, 3, {"e": "trained"}], [-1, 3, {"e": "installed"}], [-1, 3, {}, 0], [9, 0, []], [9, 1, []]]
    assert [rule.holds(value, at) for at, value in enumerate(values)] == [False] * 5 + [True]
    rule = Condition(["anomalies", 2, 3])
    held = [rule.holds(value, 0) for value in ([9, 1, [], 0], [-1, 3, {}, 2], [9, 1, [], 0])]
    assert held == [False] * 3, "what was held back before them does"
