"""Units of streams: the names of SenML, RFC 8428 section 12.1 and RFC 8798 (primary and secondary units), and what instruments show
besides: a lake keeps what was measured, not what it could be converted to.
"""

from eddy.spec.diagnostics import Invalid, did_you_mean

PRIMARY = {
    **{"m": "metre", "kg": "kilogram", "g": "gram", "s": "second", "A": "ampere", "K": "kelvin", "cd": "candela", "mol": "mole"},
    **{"Hz": "hertz", "rad": "radian", "sr": "steradian", "N": "newton", "Pa": "pascal", "J": "joule", "W": "watt", "C": "coulomb"},
    **{"V": "volt", "F": "farad", "Ohm": "ohm", "S": "siemens", "Wb": "weber", "T": "tesla", "H": "henry", "Cel": "degrees Celsius"},
    **{"lm": "lumen", "lx": "lux", "Bq": "becquerel", "Gy": "gray", "Sv": "sievert", "kat": "katal", "m2": "square metre"},
    **{"m3": "cubic metre", "l": "litre", "m/s": "velocity", "m/s2": "acceleration", "m3/s": "flow rate", "l/s": "flow rate"},
    **{"W/m2": "irradiance", "cd/m2": "luminance", "bit": "bit", "bit/s": "data rate", "lat": "degrees latitude"},
    **{"lon": "degrees longitude", "pH": "acidity", "dB": "decibel", "dBW": "decibel watt", "Bspl": "bel, sound pressure"},
    **{"count": "count", "/": "ratio", "%": "percent", "%RH": "relative humidity", "%EL": "remaining battery", "EL": "battery seconds"},
    **{"1/s": "1 a second", "1/min": "1 a minute", "beat/min": "heart rate", "beats": "heart beats", "S/m": "conductivity"},
    **{"B": "byte", "VA": "volt-ampere", "VAs": "volt-ampere second", "var": "reactive power", "vars": "reactive energy"},
    **{"J/m": "joule a metre", "kg/m3": "density", "deg": "degree"},
}

SECONDARY = {
    **{"ms": "millisecond", "min": "minute", "h": "hour", "MHz": "megahertz", "kW": "kilowatt", "kVA": "kilovolt-ampere"},
    **{"kvar": "kilovar", "Ah": "ampere hour", "Wh": "watt hour", "kWh": "kilowatt hour", "varh": "var hour", "kvarh": "kilovar hour"},
    **{"kVAh": "kilovolt-ampere hour", "Wh/km": "watt hour a kilometre", "KiB": "kibibyte", "GB": "gigabyte", "Mbit/s": "data rate"},
    **{"B/s": "data rate", "MB/s": "data rate", "mV": "millivolt", "mA": "milliampere", "dBm": "decibel milliwatt"},
    **{"ug/m3": "microgram a cubic metre", "mm/h": "precipitation", "m/h": "precipitation", "ppm": "parts per million"},
    **{"/100": "percent", "/1000": "per mille", "hPa": "hectopascal", "mm": "millimetre", "cm": "centimetre", "km": "kilometre"},
    "km/h": "kilometre an hour",
}

INSTRUMENTS = {
    **{"bar": "bar", "mbar": "millibar", "gn": "standard gravity, 9.80665 m/s2 (SenML's g is the gram)", "l/min": "flow rate"},
    **{"mg/m3": "milligram a cubic metre", "g/m3": "gram a cubic metre", "ppb": "parts per billion"},
}
"""Beyond SenML."""

MEANINGS = {**PRIMARY, **SECONDARY, **INSTRUMENTS}
NAMES = tuple(MEANINGS)

_ELSEWHERE = {
    **{"°C": "Cel", "degC": "Cel", "celsius": "Cel", "m/s^2": "m/s2", "m/s²": "m/s2", "µg/m3": "ug/m3", "ohm": "Ohm"},
    **{
        "lux": "lx",
        "G": "gn",
        "L/min": "l/min",
        "sec": "s",
        "percent": "%",
        "bpm": "beat/min",
        "dBA": "dB",
        "μg/m3": "ug/m3",
        "µg/m³": "ug/m3",
    },
}


def known(unit: str) -> str:
    """That unit.

    Raises:
        Invalid: No unit of SenML.
    """
    if unit in NAMES:
        return unit
    otherwise = "take a unit of SenML (RFC 8428, RFC 8798) such as m/s2, Cel, %RH, ppm; scale the values if need be"
    way_out = f"did you mean '{_ELSEWHERE[unit]}'?" if unit in _ELSEWHERE else did_you_mean(unit, NAMES, otherwise)
    raise Invalid("E122", f"'{unit}' is no unit of SenML", way_out)
