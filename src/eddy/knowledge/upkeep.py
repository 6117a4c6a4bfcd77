"""What a table needs now and then: old days go, small files become large ones, the log is summed up. The node does it by itself."""

import time
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from eddy.knowledge.tables import RESERVED, Table
from eddy.knowledge.tiers import Tier, let_go


@dataclass(frozen=True)
class Upkeep:
    """When a table is tended, and how.

    Attributes:
        keep_ms: Age, by the time of the samples, at which whole days go; None: never.
        tiers: Of streams: what such days are summed up into before.
        every: Commits from one time to the next.
        small_files: So many files of one day, smaller than half the target, are made one.
        target_bytes: Of a compacted file.
        linger_h: How long files that are nobody's stay, for those who are reading them.
    """

    keep_ms: int | None = None
    tiers: tuple[Tier, ...] = ()
    every: int = 64
    small_files: int = 16
    target_bytes: int = 128 << 20
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
        small = Counter(file["partition.day"] for file in table.files() if file["size_bytes"] < self.target_bytes // 2)
        if any(count >= self.small_files for count in small.values()):
            table.compact(self.target_bytes)
        table.sweep(self.linger_h)
        table.checkpoint()
        return fed
