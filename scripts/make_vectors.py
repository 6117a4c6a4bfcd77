"""Writes the golden vectors: `tests/vectors/<name>.json` from what `vectors()` in `tests/vectors/<name>.py` returns.

    python scripts/make_vectors.py [--check] [name ...]

All of them without a name. With --check nothing is written; exit status 1 and the names of those that differ.
"""

import argparse
import importlib.util
import json
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "tests" / "vectors"


def make(name: str) -> str:
    """The text of one vector file, made anew."""
    spec = importlib.util.spec_from_file_location(f"vectors_{name}", FOLDER / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return json.dumps(module.vectors(), indent=0) + "\n"


def main() -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(description="Write the golden vectors of the conformance suite.")
    parser.add_argument("names", nargs="*", default=sorted(path.stem for path in FOLDER.glob("*.py")))
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    options = parser.parse_args()
    status = 0
    for name in options.names:
        file = FOLDER / f"{name}.json"
        text = make(name)
        if not options.check:
            file.write_text(text)
        elif not file.exists() or file.read_text() != text:
            print(f"{file.name} is not what {name}.py makes: python scripts/make_vectors.py {name}, and look at the difference")
            status = 1
    return status


if __name__ == "__main__":
    raise SystemExit(main())
