"""Vectors for `eddy.kernel.rng` from its defining recurrences in long integers, without Schrage's division."""

M1, M2 = 2147483563, 2147483399


def stream(s1: int, s2: int, count: int) -> list[int]:
    """The first numbers of the combined generator (L'Ecuyer 1988, equations 2 and 3)."""
    numbers = []
    for _ in range(count):
        s1 = 40014 * s1 % M1
        s2 = 40692 * s2 % M2
        numbers.append((s1 - s2) % (M1 - 1) or M1 - 1)
    return numbers


def seeded(seed: int) -> list[int]:
    """Splitmix64's output for the seed (Steele, Lea, Flood 2014), each half reduced to the range of one generator."""
    z = (seed + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    z ^= z >> 31
    return [z // 2**32 % (M1 - 1) + 1, z % 2**32 % (M2 - 1) + 1]


def vectors() -> dict[str, object]:
    equal = [12345 * pow(40014, -1, M1) % M1, 12345 * pow(40692, -1, M2) % M2]  # both generators step to 12345
    states = [equal, [1, 1], [M1 - 1, M2 - 1], [M1 - 1, 1], [1, M2 - 1], [12345, 67890]]
    return {
        "streams": [[state, stream(state[0], state[1], 20)] for state in states],
        "seeds": [[seed, seeded(seed)] for seed in (0, 1, 2, -1, 2**31, 2**32, 2**64 - 1, 2**64, -(2**70), 123456789)],
    }
