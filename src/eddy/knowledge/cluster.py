"""Work on the files of a lake by the workers of a Dask scheduler; see `docs/howto/scale-out.md` for how they are started.

Workers read the files themselves, so they need the folder or the object store at the same place, and the same Eddy. A worker that is lost
loses nothing: another one does its part again. Whoever reaches a scheduler can have anything run on its workers.
"""

from collections.abc import Callable, Sequence
from typing import Any

from eddy.errors import LinkLost
from eddy.knowledge.aggregate import Part, Run
from eddy.knowledge.extra import load

PATIENCE_S = 10


def on(url: str) -> Run:
    """Applies functions at the scheduler of this address, such as `tcp://127.0.0.1:8786`.

    Raises:
        LinkLost: It does not answer, or has no workers; raised by what is returned, too.
        ToolMissing: dask.distributed is not installed.
    """
    distributed = load("distributed")

    def run(function: Callable[[Part], Any], parts: Sequence[Part]) -> list[Any]:
        try:
            client = distributed.Client(url, timeout=PATIENCE_S, set_as_default=False)
        except (OSError, ValueError) as error:
            raise LinkLost(f"no Dask scheduler answers at {url} ({type(error).__name__}): start one with dask scheduler") from None
        with client:
            if not client.scheduler_info()["workers"]:
                raise LinkLost(f"the scheduler at {url} has no workers: start some with dask worker {url}")
            try:
                results: list[Any] = client.gather(client.map(function, parts, pure=False))
            except (distributed.KilledWorker, distributed.scheduler.NoValidWorkerError) as error:
                raise LinkLost(f"the workers at {url} ended again and again: look at their logs ({error})") from None
        return results

    return run
