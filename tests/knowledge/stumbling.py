"""Work for a cluster that tells who does it, or kills who does it; beside the tests, so that workers can import it."""

import os
import signal
from typing import Any

from eddy.knowledge.aggregate import Part, partial

VICTIM = "w0"


def signed(part: Part) -> tuple[str, Any]:
    """`partial`, and who did it."""
    from distributed import get_worker

    return str(get_worker().name), partial(part)


def stumble(part: Part) -> Any:
    """`partial`, but the victim is killed in its first part."""
    from distributed import get_worker

    if get_worker().name == VICTIM:
        os.kill(os.getpid(), signal.SIGKILL)
    return partial(part)
