"""How much of an object to put into a frame, and into a burst: learned from how frames fared.

If a byte is garbled with probability c, and a frame of n bytes holds n - h of the object, (n - h) / n · (1 - c)^n of the line rate gets
through, which is most at (n - h) · n = h / c. The estimate of c is the frames lost over the bytes that survived, where a lost frame counts
as having survived half of itself; but one frame in twelve may be lost whatever its size and says nothing about c. The optimum is flat: a
third more or less than the best size costs 2 %.
"""

OVERHEAD = 6  # bytes of a data frame beside the object's
LARGEST = 240  # bytes of an object in one frame
SMALLEST = 16

_STEP = 8
_FIRST = 64  # before anything is known
_COST = OVERHEAD + 1  # the delimiter of the frame before can spoil this one too
_MEMORY = 1536  # bytes on the line; what is older counts half
_PROBE = 288  # bytes of a burst on an unknown line


class Pace:
    """What one station knows of the line's quality.

    Args:
        longest: Bytes in a burst at most, as long as nothing speaks against it.
    """

    def __init__(self, longest: int) -> None:
        self.payload = _FIRST  # bytes of an object to put into a frame: a multiple of 8 in [16, 240]
        self.longest = longest
        # Twelve per lost frame, less one per frame; together they say what leads to the first payload.
        self._losses = 4
        self._survived = _FIRST * (_FIRST + _COST) * self._losses // (12 * _COST)
        self._judged = 0

    def room(self) -> int:
        """Bytes for the next burst. On a line that is not known yet little is staked, and more as it proves good."""
        if self._judged < _MEMORY and self.payload < 2 * _FIRST:
            return min(self.longest, max(_PROBE, 2 * self._judged))
        return self.longest

    def learn(self, verdicts: list[tuple[int, bool]]) -> None:
        """Take in how frames fared: (bytes of the object, arrived) of each."""
        for size, arrived in verdicts:
            self._judged += size
            self._survived += size + OVERHEAD if arrived else (size + OVERHEAD) // 2
            self._losses = max(1, self._losses - 1 if arrived else self._losses + 11)
        while self._survived > _MEMORY:
            self._survived //= 2
            self._losses = (self._losses + 1) // 2
        square = 12 * _COST * self._survived // self._losses
        payload = SMALLEST
        middle = payload + _STEP // 2
        while payload < LARGEST and middle * (middle + _COST) <= square:
            payload += _STEP
            middle += _STEP
        self.payload = payload
