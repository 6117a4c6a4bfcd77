"""People's own files are looked at, never run."""

from pathlib import Path

import pytest

from eddy.errors import SpecError
from eddy.spec.load import parse
from eddy.spec.programs import program

APP = """\
app: a
nodes: {gw: {tier: gateway}}
sources:
  air: {at: gw, driver: mine.py:Probe, channel: 3}
functions:
  twice: {use: mine.py:Twice, from: air, factor: 2}
sinks:
  lamp: {from: twice, driver: parts/lamp.py:Lamp}
"""
MINE = """
raise SystemExit("this must never run")

class Probe:
    def __init__(self, *, resume=0, channel): ...
    def read(self): ...

class Twice(Function):
    def __init__(self, factor=1, bits: int = 8): ...
    def on(self, sample): ...
"""
LAMP = """
class Base:
    def write(self, key, time_ns, value): ...

class Lamp(Base):
    pass
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "parts").mkdir()
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "parts" / "lamp.py").write_text(LAMP)
    return tmp_path


def test_own_classes_are_programs_with_their_arguments(folder: Path) -> None:
    app = parse(APP, folder=folder)
    assert program(app, "source", "air") == ["mine.py", "Probe", {"channel": 3}]
    assert program(app, "function", "twice") == ["mine.py", "Twice", {"factor": 2}]
    assert program(app, "sink", "lamp") == ["parts/lamp.py", "Lamp", {}]
    assert parse(app.to_yaml(), folder=folder) == app


@pytest.mark.parametrize(
    ("wrong", "instead", "message"),
    [
        ("mine.py:Probe", "mime.py:Probe", "4:25: E141 there is no file {}/mime.py: did you mean 'mine.py'?"),
        ("mine.py:Probe", "mine.py:Prob", "4:33: E142 mine.py has no class 'Prob': did you mean 'Probe'?"),
        ("mine.py:Probe", "../mine.py:Probe", "4:25: E113 '../mine.py:Probe' is no class of yours"),
        ("mine.py:Probe", "parts/../mine.py:Probe", "4:25: E141 'parts/../mine.py' is outside the app's folder"),
        ("mine.py:Probe", "mine:Probe", "4:25: E113 'mine:Probe' is no class of yours: write file.py:Class"),
        ("channel: 3", "chanel: 3", "4:40: E143 Probe takes no argument 'chanel': did you mean 'channel'?"),
        (", channel: 3", "", "4:3: E143 Probe needs the argument 'channel'"),
        ("from: air, factor", "from: air, nearr: air, factor", "6:42: E143 Twice takes no argument 'nearr': did you mean 'near'?"),
        ("factor: 2", "factor: 2.5", "6:50: E143 'factor' is no whole number"),
        ("mine.py:Twice", "mine.py:Probe", "6:24: E142 Probe in mine.py has no method 'on'"),
        ("parts/lamp.py:Lamp", "mine.py:Probe", "8:39: E142 Probe in mine.py has no method 'write'"),
    ],
)
def test_what_is_wrong_with_an_own_class_is_told(folder: Path, wrong: str, instead: str, message: str) -> None:
    with pytest.raises(SpecError) as told:
        parse(APP.replace(wrong, instead), folder=folder)
    assert any(str(one).startswith("eddy.yaml:" + message.format(folder)) for one in told.value.diagnostics), str(told.value)


def test_a_file_that_is_no_python_is_told_with_its_line(folder: Path) -> None:
    (folder / "mine.py").write_text("class Probe:\n    def read(self:\n")
    with pytest.raises(SpecError, match=r"E141 .*mine.py cannot be read as Python: .*mine.py:2: "):
        parse(APP, folder=folder)


def test_the_style_of_a_file_is_nobodys_business_here(folder: Path) -> None:
    (folder / "mine.py").write_text(MINE + 'PATTERN = "\\d"\n')
    assert parse(APP, folder=folder)


def test_of_a_class_that_is_decorated_nothing_is_claimed(folder: Path) -> None:
    (folder / "mine.py").write_text(
        MINE.replace("class Probe:\n    def __init__(self, *, resume=0, channel): ...", "@dataclass\nclass Probe:\n    channel: int")
    )
    assert parse(APP, folder=folder)


def test_of_a_class_with_a_base_from_elsewhere_nothing_is_claimed(folder: Path) -> None:
    (folder / "mine.py").write_text("from x import Y\nclass Probe(Y): ...\nclass Twice(Y): ...\n")
    assert parse(APP, folder=folder).sources["air"].driver == "mine.py:Probe"
