"""What a table needs now and then: old days go, small files become large ones, the log is summed up. The node does it by itself."""

import time
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise

from eddy.knowledge.tables import RESERVED, Table
from eddy.knowledge.tiers import Tier, let_go


@dataclass(frozen=True)
class Upkeep:
    """When a table is tended, and how.

    Attributes:
        keep_ms: Age, by the time of the samples, at which whole days go; None: never.
        tiers: Of streams: what such days are summed up into before.
        every: Commits from one time to the next.
        small_files: So many files of one day and about one size are made one.
        target_bytes: Of a compacted file, at last. On the way there it is merged twice, each time with files of its own size: what is
            merged with every new file would be read and written again and again, while others wait, and the longer the larger it is.
        linger_h: How long files that are nobody's stay, for those who are reading them.
    """

    keep_ms: int | None = None
    tiers: tuple[Tier, ...] = ()
    every: int = 64
    small_files: int = 16
    target_bytes: int = 64 << 20
    linger_h: int = 1

    def tend(self, table: Table, now_ns: int | None = None) -> None:
        """Do all of it once, unless somebody else is doing it."""
        now_s = (time.time_ns() if now_ns is None else now_ns) // 10**9
        fed: list[tuple[Table, Tier]] = []
        with table.alone(now_s) as mine:
            if mine:
                fed = self._tend(table, now_s)
        for there, tier in fed:
            replace(self, keep_ms=tier.keep_ms, tiers=()).tend(there, now_ns)

    def _tend(self, table: Table, now_s: int) -> list[tuple[Table, Tier]]:
        """Returns tiers that have got something."""
        fed: list[tuple[Table, Tier]] = []
        if self.keep_ms is not None:
            oldest = datetime.fromtimestamp(now_s - self.keep_ms // 1000, UTC).date()
            fed = let_go(table, oldest, () if table.name in RESERVED else self.tiers, now_s)
        if target := self._crowded(table):
            table.compact(target)
        table.sweep(self.linger_h)
        table.checkpoint()
        return fed

    def _crowded(self, table: Table) -> int:
        """The bytes of the files that are to be made of those of which there are too many; 0 when there are not."""
        files = [(file["partition.day"], 2 * file["size_bytes"]) for file in table.files()]
        sizes = (0, self.target_bytes >> 6, self.target_bytes >> 3, self.target_bytes)
        for low, high in reversed(tuple(pairwise(sizes))):  # what is made large takes the small ones with it
            days = Counter(day for day, twice in files if low <= twice < high)
            if any(count >= self.small_files for count in days.values()):
                return high
        return 0
