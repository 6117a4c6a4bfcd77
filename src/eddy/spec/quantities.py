"""Durations, sizes, rates, bandwidths, energies, prices and shares: people write `500ms`, the code sees base units.

Read and written exactly: every quantity that can be read is written so that reading it gives the same number.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from eddy.spec.diagnostics import Invalid, did_you_mean

_DIGITS, _DECIMALS = 15, 9
NUMBER = rf"[0-9]{{1,{_DIGITS}}}(?:\.[0-9]{{1,{_DECIMALS}}})?"
_QUANTITY = re.compile(rf"({NUMBER})\s*([A-Za-z/%]*)")


@dataclass(frozen=True)
class Kind:
    """A kind of quantity.

    Attributes:
        name: For messages.
        base: Unit in which the code sees it.
        units: How much of the base unit each is, the ones to prefer in writing first.
        example: For messages.
    """

    name: str
    base: str
    units: Mapping[str, Fraction]
    example: str

    @property
    def pattern(self) -> str:
        """As a regular expression of ECMA 262, for editors."""
        return rf"^{NUMBER}\s*({'|'.join(map(re.escape, self.units))})$"


DURATION_MS = Kind("duration", "ms", {"d": Fraction(86_400_000), "h": Fraction(3_600_000), "m": Fraction(60_000), "s": Fraction(1000),
                                      "ms": Fraction(1)}, "500ms")  # fmt: skip
LATENCY_S = Kind("latency", "s", {"s": Fraction(1), "ms": Fraction(1, 1000), "us": Fraction(1, 10**6), "ns": Fraction(1, 10**9)}, "40ms")
SIZE_B = Kind("size", "B", {"GiB": Fraction(2**30), "GB": Fraction(10**9), "MiB": Fraction(2**20), "MB": Fraction(10**6),
                            "KiB": Fraction(2**10), "kB": Fraction(1000), "B": Fraction(1)}, "256KiB")  # fmt: skip
RATE_HZ = Kind("rate", "Hz", {"MHz": Fraction(10**6), "kHz": Fraction(1000), "Hz": Fraction(1), "/min": Fraction(1, 60),
                              "/h": Fraction(1, 3600), "/d": Fraction(1, 86400)}, "20kHz")  # fmt: skip
BANDWIDTH_BIT_S = Kind(
    "bandwidth",
    "bit/s",
    # Of the 10 bits of a serial character 8 are data.
    {"Gbit/s": Fraction(10**9), "Mbit/s": Fraction(10**6), "kbit/s": Fraction(1000), "bit/s": Fraction(1), "baud": Fraction(8, 10)},
    "2Mbit/s",
)
ENERGY_J = Kind("energy", "J", {"kWh": Fraction(3_600_000), "Wh": Fraction(3600), "kJ": Fraction(1000), "J": Fraction(1)}, "2Wh")
PRICE_PER_H = Kind("price", "money an hour", {"/h": Fraction(1), "/d": Fraction(1, 24)}, "0.8/h")
PRICE_PER_GB = Kind("price", "money a GB", {"/GB": Fraction(1), "/MB": Fraction(1000)}, "0.1/GB")
SHARE = Kind("share", "1", {"%": Fraction(1, 100)}, "5%")


def parse(text: object, kind: Kind) -> Fraction:
    """A quantity in the base unit of its kind, exactly.

    Raises:
        Invalid: It is none of that kind.
    """
    write = f"write a number and a unit, as in {kind.example}"
    if not isinstance(text, str):
        raise Invalid("E121", f"{text!r} is no {kind.name}", write)
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise Invalid("E121", f"'{text}' is no {kind.name}", write)
    number, unit = match.groups()
    if unit not in kind.units:
        reason = f"'{unit}' is no unit of a {kind.name}" if unit else f"'{text}' has no unit"
        raise Invalid("E121", reason, did_you_mean(unit, kind.units), match.start(2))
    return Fraction(number) * kind.units[unit]


def write(value: float, kind: Kind) -> str:
    """The shortest text that reads as that value; it must have been read, or be a multiple of 1e-9 of a unit."""
    for decimals in range(_DECIMALS + 1):
        for unit, size in kind.units.items():
            count = round(Fraction(value) / size * 10**decimals)
            whole, part = divmod(count, 10**decimals)
            if float(count * size / 10**decimals) == value and (count or value == 0) and whole < 10**_DIGITS:
                return f"{whole}{f'.{part:0{decimals}d}' if decimals else ''}{unit}"
    raise Invalid("E121", f"{value!r} {kind.base} is no {kind.name}", f"give it as text, as in {kind.example}")
