"""Ways through the links: between every two nodes the path of least latency, and what lies along it.

Paths are found by Dijkstra (scipy.sparse.csgraph) on whole microseconds of latency plus a small fixed pseudo-random part per link. So
every shortest path is unique, lengths are exact in float64, a path is the same in both directions, and a node r lies on the path from
n to m exactly if length(n, r) + length(r, m) = length(n, m). On a tree the path is the tree's, whatever the latencies.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from eddy.errors import SettingError
from eddy.planner.problem import Link, Node

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]

LATENCY, PER_BYTE_S, ENERGY, HOPS, PRICE, CLOSED = range(6)
"""Rows of `Topology.along`: seconds, seconds a byte, joules a byte, links, money a byte, nodes that are no gateway (both ends included)."""

_TIE_BITS = 20


class Topology:
    """Paths among the nodes that are up.

    Attributes:
        index: Position of each node that is up.
        nodes: Those nodes, N of them.
        links: The links among them, E of them.
        length: float64[N, N], exact integers.
        along: float64[6, N, N], sums along each path.
        is_tree: The links form a tree.
        closed: bool[N], no gateway.

    Raises:
        SettingError: A node cannot be reached from the others.
    """

    def __init__(self, nodes: Sequence[Node], links: Sequence[Link]) -> None:
        self.nodes = [node for node in nodes if node.reach == "up"]
        self.index = {node.name: position for position, node in enumerate(self.nodes)}
        quickest: dict[tuple[str, str], Link] = {}
        for link in sorted(links, key=lambda link: link.latency_s):
            if link.a != link.b and link.a in self.index and link.b in self.index:
                quickest.setdefault((min(link.a, link.b), max(link.a, link.b)), link)
        self.links = list(quickest.values())
        self.is_tree = len(self.links) == len(self.nodes) - 1
        self.ends = np.array([[self.index[link.a], self.index[link.b]] for link in self.links], dtype=np.int64).reshape(-1, 2)
        self.closed = np.array([node.tier != "gateway" for node in self.nodes])
        self.length, self._before = self._shortest()
        if not np.isfinite(self.length).all():
            far = self.nodes[int(np.argmax(~np.isfinite(self.length[0])))].name
            raise SettingError(f"no link leads from {self.nodes[0].name} to {far}: add one under 'links'")
        self.along = self._sums(self._before)

    def kept(self, nodes: Sequence[Node], links: Sequence[Link]) -> "Topology":
        """The topology of what is still up. On a tree it is a part of this one: no path within a side led through what is lost."""
        still = [node for node in nodes if node.reach == "up"]
        if not self.is_tree or any(node.name not in self.index for node in still):
            return Topology(nodes, links)
        positions = np.array([self.index[node.name] for node in still], dtype=np.int64)
        block = np.ix_(positions, positions)
        moved = np.full(len(self.nodes), -1, dtype=np.int64)
        moved[positions] = np.arange(len(still))
        part = Topology.__new__(Topology)
        part.nodes, part.index = still, {node.name: position for position, node in enumerate(still)}
        part.links = [link for link in self.links if link.a in part.index and link.b in part.index]
        part.ends = np.array([[part.index[link.a], part.index[link.b]] for link in part.links], dtype=np.int64).reshape(-1, 2)
        part.is_tree, part.closed, part.length = True, self.closed[positions], self.length[block]
        part.along, part._before = self.along[:, block[0], block[1]], moved[self._before[block]]
        return part

    def _shortest(self) -> tuple[Floats, Indices]:
        size = len(self.nodes)
        ties = np.random.default_rng(0).integers(1, 1 << _TIE_BITS, len(self.links))
        microseconds = np.array([round(link.latency_s * 1e6) for link in self.links], dtype=np.float64)
        lengths = microseconds * (1 << _TIE_BITS) + ties
        graph = csr_array((lengths, (self.ends[:, 0], self.ends[:, 1])), shape=(size, size))
        found: Any = dijkstra(graph, directed=False, return_predecessors=True)
        before = found[1].astype(np.int64)
        return np.asarray(found[0], dtype=np.float64), np.where(before < 0, np.arange(size)[:, None], before)

    def _sums(self, before: Indices) -> Floats:
        """Adds up along all paths at once, by pointer jumping: log2(longest path) rounds."""
        size = len(self.nodes)
        step = np.zeros((6, size, size))
        for link, (a, b) in zip(self.links, self.ends, strict=True):
            row = (link.latency_s, 8 / link.bandwidth_bit_s, link.energy_j_per_byte, 1.0, link.price_per_gb / 1e9, 0.0)
            step[:, a, b] = step[:, b, a] = row
        columns = np.broadcast_to(np.arange(size), (size, size))
        total = step[:, before, columns]
        closed = self.closed.astype(np.float64)
        total[CLOSED] = np.where(before == columns, 0.0, closed[None, :])  # the first node of each path is added at the end
        np.fill_diagonal(total[CLOSED], 0.0)
        jump = before.copy()
        while (jump != np.arange(size)[:, None]).any():
            total += np.take_along_axis(total, jump[None].repeat(6, axis=0), axis=2)
            jump = np.take_along_axis(jump, jump, axis=1)
        total[CLOSED] += closed[:, None]
        return total

    def crosses(self, link: int, rows: Indices | int, columns: Indices | int) -> Bools:
        """Whether the paths rows[i] → columns[i] use that link; the two broadcast."""
        a, b = self.ends[link]
        here, step = self.length[rows, columns], self.length[a, b]
        forth = self.length[rows, a] + step + self.length[b, columns] == here
        back = self.length[rows, b] + step + self.length[a, columns] == here
        crossed: Bools = np.asarray(forth | back)
        return crossed

    def clear(self, birth: Indices | int | None, rows: Indices | int, columns: Indices | int) -> Bools:
        """Whether the paths rows[i] → columns[i] touch nothing but gateways and the node of birth; the three broadcast."""
        closed = self.along[CLOSED][rows, columns]
        if birth is not None:
            passes = self.length[rows, birth] + self.length[birth, columns] == self.length[rows, columns]
            closed = closed - (passes & self.closed[birth])
        clear: Bools = np.asarray(closed == 0)
        return clear

    def path(self, start: str, end: str) -> list[str]:
        """Names of the nodes from one to the other, both included."""
        first, at = self.index[start], self.index[end]
        names = [end]
        while at != first:
            at = int(self._before[first, at])
            names.append(self.nodes[at].name)
        return names[::-1]

    @cached_property
    def _link_at(self) -> dict[tuple[int, int], int]:
        pairs = {(int(a), int(b)): position for position, (a, b) in enumerate(self.ends)}
        return pairs | {(b, a): position for (a, b), position in pairs.items()}

    def links_between(self, start: int, end: int) -> list[int]:
        """Positions of the links on the path."""
        links = []
        while end != start:
            before = int(self._before[start, end])
            links.append(self._link_at[before, end])
            end = before
        return links

    @cached_property
    def rooted(self) -> tuple[Indices, Indices, list[Indices]]:
        """A tree seen from node 0: parent[N], the link to the parent[N] (-1 at the root), and the nodes of each depth from 1."""
        parent = self._before[0]
        depth = self.along[HOPS, 0].round().astype(np.int64)
        upward = np.full(len(self.nodes), -1, dtype=np.int64)
        for position, (a, b) in enumerate(self.ends):
            upward[b if parent[b] == a else a] = position
        levels = [np.flatnonzero(depth == level) for level in range(1, int(depth.max(initial=0)) + 1)]
        return parent, upward, levels
