"""The view `quality`: what is out of range, and how long an origin was silent, as numpy finds it in the same data."""

import csv
import os
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lakes import START_NS, sample

from eddy.dashboard.lake import render
from eddy.knowledge.lake import Lake as Sink
from eddy.knowledge.quality import assess
from eddy.knowledge.query import Lake
from eddy.knowledge.tables import Place, Table, stream_schema
from eddy.spec.described import described
from eddy.spec.load import parse

DATA = Path(os.environ.get("EDDY_DATA", Path(__file__).parents[3] / "shared" / "data")) / "uci_air_quality"
APP = """
app: street
nodes: {gw: {tier: gateway}}
sources:
  street: {at: gw, driver: http, listen: "127.0.0.1:1", scale: 10000, units: {T: Cel, RH: "%RH"},
           range: {CO(GT): [0, 50], T: [-30, 45], RH: [5, 85.5], nothing: [0, 1]}}
sinks:
  lake: {from: street, at: gw, driver: lake}
"""
RANGES = {"CO(GT)": (0, 50), "T": (-30, 45), "RH": (5, 85.5)}


@pytest.mark.skipif(not DATA.exists(), reason=f"no data sets in {DATA}; EDDY_DATA names their folder")
def test_on_a_year_of_a_street_it_is_what_numpy_finds(tmp_path: Path) -> None:
    found: list[tuple[int, dict[str, float]]] = []
    for file in sorted(DATA.glob("*.csv")):
        with file.open(newline="") as lines:
            for row in csv.DictReader(lines, delimiter=";"):
                at = datetime.strptime(f"{row['Date']} {row['Time']}", "%d/%m/%Y %H.%M.%S").replace(tzinfo=UTC)
                found.append((int(at.timestamp()), {name: float(row[name].replace(",", ".")) for name in RANGES if row[name]}))
    found = [one for n, one in enumerate(found) if n % 13]  # some hours are missing
    sink = Sink(to=str(tmp_path), streams={"street": described(parse(APP), "street")})
    sink.write_all(
        [
            sample(n, {name: round(10_000 * one) for name, one in fields.items()}, "street", time_ns=at * 10**9)
            for n, (at, fields) in enumerate(found)
        ]
    )
    outside = np.zeros(len(found), bool)
    for name, (low, high) in RANGES.items():
        values = np.array([fields.get(name, np.nan) for _, fields in found])
        outside |= (values < low) | (values > high)
    times = np.sort(np.array([at for at, _ in found]))
    assert 0 < outside.sum() < len(found)
    with Lake(tmp_path) as lake:
        (row,) = lake.query("SELECT rows, out_of_range, gaps_s FROM quality").rows()
        assert (row["rows"], row["out_of_range"], row["gaps_s"]) == (len(found), outside.sum(), np.diff(times).max())
        fields = {one["field"]: (one["unit"], one["min"], one["max"]) for one in lake.query("FROM fields").rows()}
        assert fields == {"CO_GT_": (None, 0, 50), "T": ("Cel", -30, 45), "RH": ("%RH", 5, 85.5)}
        assert f">{outside.sum():,}</td>" in render(lake, "Street")


def quality(root: Path, *values: Any, **said: Any) -> dict[str, Any]:
    Sink(to=str(root), streams={"room": said}).write_all([sample(n, value) for n, value in enumerate(values)])
    with Lake(root) as lake:
        (row,) = lake.query("FROM quality").rows()
        return row


def test_a_plain_value_has_a_range_too_its_ends_are_within_and_no_number_is_outside(tmp_path: Path) -> None:
    assert quality(tmp_path / "a", -40, 85, 85.0625, -41, None, float("nan"), range={"value": [-40, 85]})["out_of_range"] == 3
    assert quality(tmp_path / "b", "x", "y", range={"value": [-40, 85]})["out_of_range"] == 0
    assert quality(tmp_path / "c", 1, 2)["out_of_range"] == 0


def test_what_is_out_of_range_is_kept_and_another_range_counts_at_once_for_all_rows(tmp_path: Path) -> None:
    assert quality(tmp_path, *range(10), range={"value": [0, 4]})["out_of_range"] == 5
    Sink(to=str(tmp_path), streams={"room": {"range": {"value": [0, 8]}}}).write_all([sample(10, 4)])
    with Lake(tmp_path) as lake:
        assert lake.query("SELECT rows, out_of_range FROM quality").rows() == [{"rows": 11, "out_of_range": 1}]


def test_the_longest_silence_is_that_of_each_origin_whatever_the_order_of_arrival(tmp_path: Path) -> None:
    times = {"a": (0, 1, 61.5, 60), "b": (5,), "c": (10, 0, 7)}
    made = [(origin, at) for origin, several in times.items() for at in several]
    Sink(to=str(tmp_path)).write_all(
        [sample(n, n, origin=origin, time_ns=START_NS + int(at * 10**9)) for n, (origin, at) in enumerate(made)]
    )
    with Lake(tmp_path) as lake:
        said = {row["origin"]: row["gaps_s"] for row in lake.query("FROM quality").rows()}
    assert said == {origin: max(np.diff(sorted(several)), default=None) for origin, several in times.items()}


def test_a_column_whose_rows_have_gone_with_their_days_is_no_matter(tmp_path: Path) -> None:
    sink = Sink(to=str(tmp_path), streams={"room": {"range": {"value": [0, 1], "temp": [0, 1]}}})
    sink.write_all([sample(0, {"temp": 2}, time_ns=START_NS + 3 * 86_400 * 10**9)])
    sink.write_all([sample(1, 5)])
    table = Table(Place(str(tmp_path)), "room", stream_schema())
    assert table.delete("day < '2026-01-02'") == 1
    with Lake(tmp_path) as lake:
        assert lake.query("SELECT rows, unchanged, out_of_range FROM quality").rows() == [{"rows": 1, "unchanged": 0, "out_of_range": 1}]
        assert [row["field"] for row in lake.query("FROM fields").rows()] == ["temp"]


ROW = st.tuples(st.sampled_from("ab"), st.integers(0, 30) | st.integers(0, 200_000), st.sampled_from([None, 1, 2, 300]), st.booleans())


@given(st.lists(ROW, min_size=1, max_size=40), st.integers(1, 50))
def test_in_stretches_of_any_length_it_is_what_all_at_once_would_be(made: list[tuple[str, int, int | None, bool]], at_once: int) -> None:
    """A second of the first days, a value, and whether the row is there twice, as it must never be."""
    rows = [(origin, seq, second * 10**6, value) for seq, (origin, second, value, _) in enumerate(made)]
    rows += [row for row, (*_, twice) in zip(rows, made, strict=True) if twice]
    rows.sort(key=lambda row: row[1] % 7)
    names = ("origin", "birth", "seq", "time", "value", "late")
    columns = zip(*((origin, "00", seq, us, value, bool(seq % 3)) for origin, seq, us, value in rows), strict=True)
    there = pa.table(dict(zip(names, columns, strict=True)))
    there = there.set_column(3, "time", there["time"].cast(pa.timestamp("us", "UTC")))
    there = there.append_column("day", there["time"].cast(pa.date32()))
    with duckdb.connect() as duck:
        duck.execute("SET TimeZone = 'UTC'")
        duck.register("room", there)
        duck.register("gaps", pa.table({"stream": ["room"], "origin": ["b"], "first": [3], "last": [5]}))
        said = {row["origin"]: row for row in assess(duck, {"room": (True, "value NOT BETWEEN 0 AND 100")}, at_once).to_pylist()}
    for origin in {row[0] for row in rows}:
        own = sorted((us, seq, value) for at, seq, us, value in rows if at == origin)
        pairs = list(pairwise(own))
        gap_from = said[origin]["gap_from"]
        if pairs:  # of several that are as long, any
            longest = max(other[0] - one[0] for one, other in pairs)
            assert round(gap_from.timestamp() * 1e6) in {one[0] for one, other in pairs if other[0] - one[0] == longest}
        else:
            assert gap_from is None
        assert said.pop(origin) == {
            "stream": "room",
            "origin": origin,
            "rows": len(own),
            "late": sum(bool(seq % 3) for _, seq, _ in own),
            "doubled": len(own) - len({seq for _, seq, _ in own}),
            "missing": 3 if origin == "b" else 0,
            "unchanged": sum(one[2] is not None and one[2] == other[2] for one, other in pairs),
            "out_of_range": sum(value == 300 for _, _, value in own),
            "gaps_s": max(((other[0] - one[0]) / 1e6 for one, other in pairs), default=None),
            "gap_from": gap_from,
        }
    assert not said
