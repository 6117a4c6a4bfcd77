import errno
import os
import select
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from eddy.kernel.errors import LinkLost
from eddy.links.serial import SerialLink, _why


@pytest.fixture
def terminal() -> Iterator[tuple[int, str]]:
    """A pseudo-terminal: the file descriptor of one end, the path of the other."""
    master, other = os.openpty()
    tty.setraw(other)
    yield master, os.ttyname(other)
    os.close(other)
    os.close(master)


def test_every_byte_value_passes_both_ways(terminal: tuple[int, str]) -> None:
    master, path = terminal
    every = bytes(range(256))
    with SerialLink(path) as link:
        link.write(every)
        assert os.read(master, 1000) == every
        os.write(master, every)
        assert link.read(1) == every


def test_reading_gives_what_is_there_and_nothing_after_the_timeout(terminal: tuple[int, str]) -> None:
    master, path = terminal
    with SerialLink(path) as link:
        assert link.read() == b""
        assert link.read(0.01) == b""
        os.write(master, b"ab")
        assert link.read(1) == b"ab"
        assert link.read() == b""


def test_a_link_can_be_waited_for(terminal: tuple[int, str]) -> None:
    master, path = terminal
    with SerialLink(path) as link:
        assert select.select([link], [], [], 0)[0] == []
        os.write(master, b"x")
        assert select.select([link], [], [], 1)[0] == [link]


def test_a_port_that_is_not_there_is_told() -> None:
    with pytest.raises(LinkLost, match="there is no serial port /dev/ttyNOWHERE: check the cable"):
        SerialLink("/dev/ttyNOWHERE")


def test_a_port_in_use_is_told(terminal: tuple[int, str]) -> None:
    _, path = terminal
    with SerialLink(path), pytest.raises(LinkLost, match="is in use by another program"):
        SerialLink(path)


def test_a_closed_port_can_be_opened_again(terminal: tuple[int, str]) -> None:
    master, path = terminal
    SerialLink(path).close()
    with SerialLink(path) as link:
        os.write(master, b"x")
        assert link.read(1) == b"x"


def test_a_file_that_is_no_terminal_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(LinkLost, match="cannot be opened as a serial port"):
        SerialLink(str(file))


def test_missing_permission_is_told() -> None:
    # The superuser, who runs tests in containers, is never refused: this is the operating system's error as pyserial hands it on.
    error = serial.SerialException(errno.EACCES, "could not open port /dev/ttyUSB0: Permission denied")
    assert "add yourself to the group that owns it" in _why("/dev/ttyUSB0", error)


def test_a_rate_that_no_port_has_is_told(terminal: tuple[int, str]) -> None:
    with pytest.raises(LinkLost, match="does not do -1 baud"):
        SerialLink(terminal[1], baud=-1)


def test_a_port_that_goes_is_told() -> None:
    master, other = os.openpty()
    tty.setraw(other)
    path = os.ttyname(other)
    os.close(other)
    with SerialLink(path) as link:
        os.close(master)
        with pytest.raises(LinkLost, match="has gone"):
            for _ in range(3):
                link.read(1)
