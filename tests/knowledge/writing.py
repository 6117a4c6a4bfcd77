"""A writer as a process of its own: `python writing.py WHERE NAME BATCHES OPTIONS`, ten samples a batch, each batch twice.

With a fifth argument the samples are so old that all of them move into tiers whenever a table is tended.
"""

import json
import sys

from eddy.errors import StorageFull
from eddy.knowledge.lake import Lake
from eddy.knowledge.tiers import Tier
from eddy.knowledge.upkeep import Upkeep

ROWS = 10


def opened(where: str, options: dict[str, str], moving: bool) -> Lake:
    lake = Lake(to=where, options=options)
    kept = {"keep_ms": 86_400_000, "tiers": (Tier("warm", 60_000), Tier("cold", 3_600_000))} if moving else {}
    lake._upkeep = Upkeep(every=4, small_files=4, **kept)  # type: ignore[arg-type]  # so that everybody compacts what others are writing to
    return lake


def write(where: str, name: str, batches: int, options: dict[str, str], moving: bool = False) -> None:
    lake = opened(where, options, moving)
    for batch in range(batches):
        numbers = range(batch * ROWS, (batch + 1) * ROWS)
        samples = [(f"{name}/{name}/ab/{n}", n * 10**9, ["room", name, n, n]) for n in numbers]
        for _ in range(2):  # as after a crash: it comes again
            while True:
                try:
                    lake.write_all(samples)
                    break
                except StorageFull as error:
                    print(error, flush=True)
                    lake = opened(where, options, moving)


if __name__ == "__main__":
    write(sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4]), len(sys.argv) > 5)
