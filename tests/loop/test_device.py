"""The whole loop around a real device: MicroPython behind its line, the judge and the loop in this process."""

from pathlib import Path

import numpy as np
import pytest

from eddy.kernel.features import NAMES
from eddy.kernel.function import Sample
from eddy.kernel.package import decode_body, read
from eddy.knowledge.base import KnowledgeBase
from eddy.loop import Loop, LoopSettings
from eddy.models.create import Search
from eddy.models.engine import Training
from eddy.pool.judging import Judge
from eddy.sim.rig import CLASS, DEVICE, Rig, pipeline

USES = ["rms", "mean_abs_difference", "peak_to_peak"]
MS = 1_000_000
DEVICES = {"report": DEVICE}


@pytest.mark.slow
def test_a_device_that_cries_wolf_gets_another_champion_which_is_the_same_bits_here_and_there(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    search = Search(trees=(5, 10), subsample=(32,), features=(tuple(USES), ("rms", "kurtosis")), size=4)
    loop = Loop(KnowledgeBase(tmp_path / "base"), LoopSettings(training=Training(search=search, refresh=0)), DEVICES, CLASS)
    judge, heard, announced, played = Judge(list(NAMES), DEVICES), 0, 0, 0
    hosted = pipeline(500, list(NAMES), {"trees": 8, "subsample": 32, "quantile": 700, "rows": 40, "seed": 3, "uses": USES}, 4)

    with Rig(tmp_path / "device", hosted, speed=100, heap_bytes=1 << 20) as rig:

        def play(windows: int) -> None:
            """A window of 500 samples of noise, now louder and now less, and what is said about it until then."""
            nonlocal heard, announced, played
            for _ in range(windows):
                noise = random.normal(0, 1000 * (1 + 0.05 * random.standard_normal()), 500)
                rig.play(noise.round().astype("<i2").tobytes(), played * 500 * MS, MS)
                played += 1
            while heard < len(rig.said):
                for out in judge.on(Sample("report", "report", heard, heard * 500 * MS, rig.said[heard])):
                    loop.take(f"judge/{heard}", heard * 500 * MS, out)
                heard += 1
                while (said := loop.announcement(announced)) is not None:
                    judge.on(Sample("pool", "pool", announced, 0, said))
                    announced += 1

        play(42)
        rig.until(lambda: any(value[1] == 3 for value in rig.said))
        while (package := loop.package(DEVICE, 0)) is None:
            play(5)
        assert played < 300
        body = decode_body(read(package)[2])
        wire, features = body["m"], body["f"]
        wire = bytes(wire)  # type: ignore[call-overload]
        assert isinstance(features, list)
        rig.send(wire, features)
        rig.until(lambda: any(value[1] == 3 and value[2]["e"] == "installed" for value in rig.said))
        play(60)
    status = loop.status()[DEVICE]
    assert status["champion"]["sequence"] == 1
    assert loop.registry.model(status["champion"]["model"]).wire == wire
    assert all(row["model"] for row in loop.base.table("champions")), "the one that it trained itself is known too"
    later = [row for row in loop.base.table("windows") if row["model_sequence"] == 1]
    assert len(later) > 10
    assert (status["scores_compared"] > len(later), status["scores_differing"]) == (True, 0)
