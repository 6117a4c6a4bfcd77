"""Figures as people read them: grouped digits, a unit, no more precision than there is."""

ABSENT = "\N{EN DASH}"
"""Stands for a figure that was not measured."""

_MINUTE_S, _HOUR_S = 60, 3600


def count(value: float) -> str:
    """`12345` as `12,345`; whole numbers only."""
    return f"{round(value):,}"


def many(value: float, thing: str) -> str:
    """`1 alarm`, `2 alarms`."""
    return f"{count(value)} {thing}" + ("" if value == 1 else "s")


def kibibytes(value: float | None) -> str:
    """Bytes as `256 KiB`; below 10 KiB with one decimal; None as an en dash."""
    if value is None:
        return ABSENT
    size = value / 1024
    return f"{size:,.1f} KiB" if size < 10 else f"{size:,.0f} KiB"


def percent(share: float | None) -> str:
    """`0.934` as `93 %`, with a decimal below 10 %; None as an en dash."""
    if share is None:
        return ABSENT
    return f"{share:.1%}".replace("%", " %") if 0 < share < 0.1 else f"{share:.0%}".replace("%", " %")


def seconds(value: float | None) -> str:
    """`5.13` as `5.1 s`, `759` as `12 min 39 s`, `5147` as `1 h 26 min`; None as an en dash."""
    if value is None:
        return ABSENT
    if value < 1:
        return f"{value * 1000:.0f} ms" if value >= 0.01 or value == 0 else f"{value * 1000:.2g} ms"
    if value < 100:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S} min {whole % _MINUTE_S} s"
    minutes = round(value / _MINUTE_S)
    return f"{minutes // 60:,} h {minutes % 60} min"
