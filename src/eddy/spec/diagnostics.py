"""What can be wrong in an app: the codes, and the error that a parser of the language raises."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

CODES = {
    "E101": "not YAML, or not the map that an app is",
    "E102": "a key is there twice in one map",
    "E103": "a word that YAML 1.1 and YAML 1.2 read differently",
    "E111": "an unknown field",
    "E112": "a field is missing",
    "E113": "a value of another type, or outside its range",
    "E114": "a name that nothing can have",
    "E121": "no quantity: a number and a unit",
    "E122": "a unit that is not known",
    "E123": "a condition that the grammar does not have",
    "E124": "a phrase that the language does not have",
    "E131": "a name that nothing has",
    "E132": "a name that two things have",
    "E133": "functions wait for each other",
    "E134": "a link that joins no two nodes, or a node that no link reaches",
    "E135": "instances on nodes that do not belong together",
    "E136": "fields that do not go together",
    "E141": "a file of a person's own that is missing, or no Python",
    "E142": "a class that its file does not have, or without the methods that it needs",
    "E143": "an argument that the class does not take, or one that it needs",
}
"""A code never changes its meaning. E10x: text; E11x: shape; E12x: small grammars; E13x: what names mean; E14x: people's own code."""


class Invalid(ValueError):
    """A value is not written in the language.

    Args:
        code: One of `CODES`.
        reason: What is wrong.
        way_out: What to do about it.
        column: Offset in the value's text at which it was noticed; 0 is its first character.
    """

    def __init__(self, code: str, reason: str, way_out: str, column: int = 0) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.way_out = way_out
        self.column = column


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong at a path of the app; where that is in the file is not known here.

    Attributes:
        path: As `("functions", "detect", "from", 0)`.
        key: It is about the last part of the path as a key, not about what stands there.
        column: Offset in the text of the value.
        about: The field that is missing.
    """

    path: tuple[str | int, ...]
    code: str
    reason: str
    way_out: str
    key: bool = False
    column: int = 0
    about: str = ""


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """The way out of a typo: the word that is nearest, else what there is to choose from."""
    names = list(dict.fromkeys(known))
    same = [name for name in names if name.lower() == word.lower()]
    close = same or get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    return otherwise or (f"choose one of {listed(names)}" if names else "there is none yet")


def listed(names: Iterable[str], most: int = 12) -> str:
    """Names for a message, cut off where nobody reads on."""
    names = list(names)
    return ", ".join(names[:most]) + (" ..." if len(names) > most else "")
