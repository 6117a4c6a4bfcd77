"""People's own files on a node: named by their SHA-256, fetched from the hub when a charter names one that is not here."""

from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from threading import Thread

from eddy.security import keyfile

LIMIT = 1 << 20
"""Bytes of a file."""


class Code(Mapping[bytes, bytes]):
    """{SHA-256: source}, kept in a folder.

    Args:
        folder: Where they are kept; what a power cut has torn there is fetched again.
        fetch: Asks the hub for one by its SHA-256; None when it does not answer. Called in a thread.
    """

    def __init__(self, folder: Path, fetch: Callable[[bytes], bytes | None]) -> None:
        self._folder = folder
        self._fetch = fetch
        self._asked: dict[bytes, Thread] = {}
        folder.mkdir(parents=True, exist_ok=True)
        sources = [file.read_bytes() for file in folder.iterdir() if len(file.name) == 64]
        self._here = {sha256(source).digest(): source for source in sources}

    def want(self, digest: bytes) -> None:
        """Fetch it, unless it is here or on its way."""
        if digest not in self._here and (digest not in self._asked or not self._asked[digest].is_alive()):
            self._asked[digest] = Thread(target=self._get, args=(digest,), daemon=True)
            self._asked[digest].start()

    def _get(self, digest: bytes) -> None:
        source = self._fetch(digest)
        if source is not None and len(source) <= LIMIT and sha256(source).digest() == digest:
            keyfile.write(self._folder / digest.hex(), source, replace=True)
            self._here[digest] = source

    def __getitem__(self, digest: bytes) -> bytes:
        return self._here[digest]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._here)

    def __len__(self) -> int:
        return len(self._here)
