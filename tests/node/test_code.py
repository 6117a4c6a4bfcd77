"""People's own files on a node survive a power cut, or are fetched again."""

from hashlib import sha256
from pathlib import Path

from eddy.node.code import Code

SOURCE = b"class Own: ...\n"
DIGEST = sha256(SOURCE).digest()


def fetched(code: Code) -> bytes:
    """The file, as soon as its thread has it."""
    code.want(DIGEST)
    for thread in code._asked.values():
        thread.join(5)
    return code[DIGEST]


def test_a_file_is_fetched_once_and_kept(tmp_path: Path) -> None:
    assert fetched(Code(tmp_path, lambda digest: SOURCE)) == SOURCE
    assert fetched(Code(tmp_path, lambda digest: None)) == SOURCE


def test_a_file_that_a_power_cut_has_torn_is_fetched_again(tmp_path: Path) -> None:
    fetched(Code(tmp_path, lambda digest: SOURCE))
    (tmp_path / DIGEST.hex()).write_bytes(bytes(len(SOURCE)))
    again = Code(tmp_path, lambda digest: SOURCE)
    assert DIGEST not in again
    assert fetched(again) == SOURCE == Code(tmp_path, lambda digest: None)[DIGEST]
