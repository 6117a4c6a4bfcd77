"""Every built-in function: the same log, the same outputs and the same state, wherever it runs and however often it moves."""

import hashlib
from array import array
from binascii import hexlify, unhexlify

from vectors import load as golden

from eddy.kernel.codec import encode
from eddy.kernel.errors import Refused
from eddy.kernel.function import CONFIGURE, GAP, SAMPLE, TICK, Instance, Sample
from eddy.kernel.functions import alarm, chain, condition, features, filter, forward, load, mean, model, rule, window
from eddy.kernel.hop import Gap
from eddy.kernel.rng import Rng

NAMES = ["rms", "mean_abs_difference", "peak_to_peak"]
HOT = ["or", ["for", ["compare", "", ">=", 120000], 3], ["not", ["compare", "", ">", -180000]]]
CONFIRMED = ["anomalies", 3, 4]
WINDOW = [window.__name__, "Window", {"size_ms": 64}]
FEATURES = [features.__name__, "Features", {"compute": NAMES}]
MODEL = [model.__name__, "Model", {"features": NAMES, "trees": 6, "subsample": 16, "quantile": 900, "rows": 20, "seed": 5}]
TAKES = [MODEL[0], MODEL[1], dict(MODEL[2], home=["pump", "pump-1"], key=unhexlify(golden("champion")["public_key"]))]
RULE = [rule.__name__, "Rule", {"when": CONFIRMED}]
PROGRAMS = {
    "window": WINDOW,
    "features": FEATURES,
    "model": MODEL,
    "champion": TAKES,
    "forward": [forward.__name__, "Forward", {"normal_every": 3}],
    "rule": [rule.__name__, "Rule", {"when": HOT}],
    "confirm": RULE,
    "alarm": [
        alarm.__name__,
        "Alarm",
        {"name": "hot", "when": ["for", ["compare", "", ">", 0], 1], "clear": ["compare", "", "<", -100000]},
    ],
    "alarms": [alarm.__name__, "Alarm", {"name": "worn", "when": CONFIRMED}],
    "filter": [filter.__name__, "Filter", {"when": HOT}],
    "mean": [mean.__name__, "Mean", {"over_ms": 5}],
    "chain": [chain.__name__, "Chain", {"stages": [WINDOW, FEATURES, MODEL, RULE]}],
}
CHUNKED = ("window", "chain")


def values(name, i, rng):
    """The i-th value that a function is fed, by what it takes."""
    loud = 9 if i > 40 else 1
    signal = array("h", [(rng.below(2001) - 1000) * loud // 10 for _ in range(48 if name in CHUNKED else 64)])
    if name in CHUNKED or name == "features":
        return [bytes(signal) if i % 2 else signal, 1000000]
    if name in ("model", "champion"):
        return features.Features(NAMES).on(Sample("w", "o", i, 0, [signal, 1000000]))[0]
    if name in ("forward", "confirm", "alarms"):
        return [rng.below(65536), [0, 0, 1, 1, 2][rng.below(5)], [i]]
    return rng.below(400) - 200


def log(name):
    """Entries of an input log: samples, ticks, a gap, settings."""
    rng = Rng(7)
    entries = []
    for i in range(60):
        entries.append((SAMPLE, Sample("s", "o", i, i * 48000000 if name in CHUNKED else i * 1000000, values(name, i, rng))))
        entries.append((TICK, i * 1000000000))
        if i == 30:
            entries.append((GAP, Sample("s", "o", 31, 0, Gap(31, 33, "trimmed"))))
            entries.append((CONFIGURE, {"normal_every": 2}))
        if name == "champion" and i in (10, 35, 36, 45, 50):  # one that is torn; a champion, and again; what configures another, and this
            packages = [unhexlify(data) for data in golden("champion")["packages"]]
            packages = {10: packages[0][:-1], 35: packages[0], 36: packages[0], 45: packages[1], 50: packages[2]}
            entries.append((SAMPLE, Sample("s", "o", i, 0, packages[i])))
    return entries


def digest(name, every=0):
    """Of all outputs and the last checkpoint, when the function moves after each `every` entries."""
    instance = Instance(load(PROGRAMS[name]), name)
    seen = hashlib.sha256()
    emitted = 0
    entries = log(name)
    for n in range(len(entries)):
        kind, payload = entries[n]
        for value in instance.feed(kind, payload):
            seen.update(encode(value))
            emitted += 1
        if every and n % every == every - 1:
            moved = Instance(load(PROGRAMS[name]), name)
            moved.restore(instance.checkpoint())
            instance = moved
    assert emitted, name + " has said nothing"
    seen.update(instance.checkpoint())
    return str(hexlify(seen.digest()), "ascii")


def check_every_function_gives_the_same_bits_everywhere():
    expected = golden("functions")
    for name in sorted(PROGRAMS):
        assert digest(name) == expected[name], name


def check_a_function_that_moves_all_the_time_gives_the_same_bits():
    for name in sorted(PROGRAMS):
        assert digest(name, 7) == golden("functions")[name], name


def check_conditions_hold_for_whole_numbers_and_for_fields():
    both = condition.Condition(["and", ["compare", "co2", ">=", 1000000], ["not", ["compare", "window", "==", 1000]]])
    assert [both.holds({"co2": 1000, "window": shut}, 0) for shut in (0, 1)] == [True, False]


def check_code_that_is_not_of_this_room_is_not_loaded():
    for module in ("os", "eddy.kernel.store", "eddy.kernel.functions.viper.x", "eddy.kernel.functions.nothing", "eddy.kernel.functions."):
        try:
            load([module, "System", {}])
        except Refused:
            continue
        raise AssertionError(module)
