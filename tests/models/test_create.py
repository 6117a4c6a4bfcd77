from array import array

import numpy as np
import pytest
from numpy.typing import NDArray

from eddy.errors import ModelError, SettingError
from eddy.functions.forest import score
from eddy.kernel.features import NAMES
from eddy.kernel.trainer import Trainer
from eddy.models.create import LEAST, Recipe, Search, grow, louder, notice, per_mille_above, rehearse, reproduce, search, sharper, train
from eddy.models.derived import columns

ENERGY = ("rms", "mean_abs_difference", "peak_to_peak")


def windows(count: int, seed: int = 1, drift: float = 0.0) -> NDArray[np.int64]:
    """Features of a steady machine, int64 [count, len(NAMES)]; with drift the energies grow by that share towards the end."""
    random = np.random.default_rng(seed)
    rows = 3000 * (1 + 0.05 * random.standard_normal((count, len(NAMES))))
    rows *= (1 + 0.1 * random.standard_normal((count, 1))) * (1 + drift * np.linspace(0, 1, count)[:, None])
    return rows.astype(np.int64)


SMALL = Search(trees=(10, 20), subsample=(32,), features=(ENERGY, ("kurtosis", "skewness", "mean")), size=3)


def test_a_forest_grows_bit_for_bit_as_on_a_device() -> None:
    rows = columns(windows(50), ENERGY)
    trainer = Trainer(array("i", rows.ravel().tolist()), 3, trees=7, subsample=32, seed=5)
    while trainer.step():
        pass
    assert grow(rows, 7, 32, 5).to_image() == trainer.forest().to_image()


def test_the_champion_of_a_device_is_grown_again_from_its_seed_with_its_threshold() -> None:
    rows = windows(60)
    flat = columns(rows, ENERGY).ravel().tolist()
    trainer = Trainer(flat, 3, trees=10, subsample=32, seed=9)
    while trainer.step():
        pass
    champion = trainer.forest()
    champion.calibrate(flat, 950, 7)
    told = {"trees": 10, "subsample": 32, "seed": 9, "rows": 60, "threshold": champion.threshold, "quantile": 950, "margin": 7}
    again = reproduce(rows, ENERGY, told)
    assert again is not None
    assert again.to_wire() == champion.to_wire()
    assert reproduce(rows[1:], ENERGY, told) is None, "a window is missing"
    assert reproduce(rows[::-1], ENERGY, told) is None, "the same windows in another order give other trees"
    with pytest.raises(ModelError):
        reproduce(rows, ("ratio(rms, mean)",), told)


def test_validation_looks_only_at_what_came_later() -> None:
    recipe = Recipe(20, 32, ENERGY, 1, 980)
    steady, drifting = rehearse(recipe, windows(200)), rehearse(recipe, windows(200, drift=1.0))
    assert (steady["rows_fit"], steady["rows_validate"], steady["rows_held_out"]) == (120, 40, 40)
    assert drifting["validation_false_alarms"] > 300 > steady["validation_false_alarms"]
    assert drifting["held_out_false_alarms"] > 300 > steady["held_out_false_alarms"]
    assert drifting["objective"] < steady["objective"]


def test_the_future_does_not_leak_into_the_past() -> None:
    rows = windows(200)
    changed = rows.copy()
    changed[160:] *= 9
    before, after = rehearse(Recipe(20, 32, ENERGY, 1, 980), rows), rehearse(Recipe(20, 32, ENERGY, 1, 980), changed)
    assert after.pop("held_out_false_alarms") == 1000
    before.pop("held_out_false_alarms")
    assert before == after


def test_features_that_notice_a_fault_win_over_features_that_do_not() -> None:
    blind = Search(trees=(20,), subsample=(32,), features=(("mean",), ENERGY), size=2)
    assert [one.recipe.features for one in search(windows(200), blind)] == [ENERGY, ("mean",)]


def test_the_search_keeps_the_best_and_is_the_same_every_time() -> None:
    found, again = search(windows(100), SMALL), search(windows(100), SMALL)
    assert len(found) == 3
    assert [one.metrics["objective"] for one in found] == sorted((one.metrics["objective"] for one in found), reverse=True)
    assert [one.forest.to_wire() for one in found] == [one.forest.to_wire() for one in again]
    assert SMALL.count() == len(list(SMALL.recipes())) == len({recipe.seed for recipe in SMALL.recipes()})


def test_a_trained_model_notices_a_louder_machine_however_few_windows_it_has_seen() -> None:
    for seed in range(20):
        rows = windows(LEAST, seed)
        forest = train(Recipe(10, 64, ENERGY, seed, 1000), rows)
        assert notice(forest, ENERGY, rows) > 0
        assert np.median(score(forest, columns(louder(rows), ENERGY))) > forest.threshold


def test_the_probes_change_what_a_fault_changes() -> None:
    rows = windows(5)
    loud, sharp = louder(rows), sharper(rows)
    for name, factor in {"rms": 2, "band_3": 2, "kurtosis": 1, "mean": 1}.items():
        assert (loud[:, NAMES.index(name)] == factor * rows[:, NAMES.index(name)]).all()
    assert (sharp[:, NAMES.index("kurtosis")] == 4 * rows[:, NAMES.index("kurtosis")]).all()
    assert (sharp[:, NAMES.index("rms")] == rows[:, NAMES.index("rms")]).all()


def test_too_few_windows_are_refused_with_a_number() -> None:
    with pytest.raises(SettingError, match=f"at least {LEAST}"):
        search(windows(LEAST - 1), SMALL)


def test_constant_windows_can_be_learned_from() -> None:
    (best, *_) = search(np.full((40, len(NAMES)), 7), SMALL)
    assert 0 <= best.forest.threshold <= 65536


def test_one_false_alarm_is_never_none() -> None:
    assert per_mille_above(np.array([1] + [0] * 4999), 0) == 1
    assert per_mille_above(np.array([0] * 10), 0) == 0
