"""A loop in a process of its own, to be killed: takes what a judge said, one output after the other, and says on stdout what it has.

    python killed_loop.py BASE SCRIPT FIRST

SCRIPT is the CBOR of the outputs, [[key, time_ns, value] ...]; it begins with number FIRST.
"""

import sys
from pathlib import Path
from typing import Any, cast

from eddy.kernel.codec import decode
from eddy.kernel.features import NAMES
from eddy.knowledge.base import KnowledgeBase
from eddy.loop import Loop, LoopSettings
from eddy.models.create import Search
from eddy.models.engine import Training

SEARCH = Search(trees=(10, 20), subsample=(32, 64), features=(("rms", "mean_abs_difference"), ("rms", "peak_to_peak")), size=5)
SETTINGS = LoopSettings(columns=NAMES, training=Training(search=SEARCH, refresh=40, newcomers=2, memory=80))
DEVICES = {"report@pump-1": "pump-1", "report@pump-2": "pump-2"}
MODEL = "health"


def open_loop(base: str | Path) -> Loop:
    return Loop(KnowledgeBase(base, clock=lambda: 0), SETTINGS, DEVICES, MODEL)


def main(base: str, script: str, first: int) -> None:
    loop = open_loop(base)
    said = cast(list[Any], decode(Path(script).read_bytes()))
    for number in range(first, len(said)):
        key, time_ns, value = said[number]
        loop.take(key, time_ns, value)
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
