"""How right the errors of `check` are:  python bench/corpus.py FOLDER [--condor PREFIX ...]

FOLDER holds submit files of any kind, and beside them `verdicts.jsonl`, a line a verdict:

    {"file": "a/job.sub", "rule": "PS208", "line": 4, "verdict": "wrong"}
    {"file": "b/job.sub", "rule": "", "verdict": "refused"}

verdict: `right`, `wrong` or `depends` (on the pool) for an error that may be said; `refused` for a
file that condor_submit refuses, so that some error has to be said. With --condor, condor_submit of
each installation says which files it refuses (a dry run), in place of a verdict. Prints how many
errors are right, wrong, depending, without a verdict, and how many refused files are missed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from collections import Counter
from pathlib import Path

from pixi_scaffold.check import find_descriptions, review
from pixi_scaffold.report import Silent
from pixi_scaffold.rules import Severity


def verdicts(folder: Path) -> dict[tuple[str, str, int], str]:
    """Return the verdicts by file, rule and line; a line of 0 stands for any."""
    path = folder / "verdicts.jsonl"
    rows = map(json.loads, path.read_text().splitlines()) if path.is_file() else ()
    return {(r["file"], r.get("rule", ""), r.get("line", 0)): r["verdict"] for r in rows}


def refused(prefix: Path, path: Path, start: Path) -> bool:
    """Whether condor_submit of one installation refuses a file."""
    done = subprocess.run(
        [prefix.absolute() / "usr" / "bin" / "condor_submit", "-dry-run", "-", path.absolute()],
        cwd=start, env={**os.environ, "CONDOR_CONFIG": "ONLY_ENV"},
        stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    return done.returncode != 0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--condor", type=Path, nargs="*", default=[])
    parser.add_argument("--list", action="store_true", help="each error, with its verdict")
    options = parser.parse_args()
    known, counts = verdicts(options.folder), Counter[str]()
    for path in find_descriptions(options.folder):
        name = path.relative_to(options.folder).as_posix()
        found = review([path], Silent())
        errors = [f for f in found.findings if f.severity is Severity.ERROR]
        start = found.descriptions[0].folder if found.descriptions else path.parent
        counts["files"] += 1
        for error in errors:
            at = (name, error.rule, error.line)
            verdict = known.get(at) or known.get((name, error.rule, 0)) or "no verdict"
            counts[verdict] += 1
            if options.list:
                print(f"{verdict:<10} {name}:{error.line} {error.rule} {error.message}")
        asked = [refused(prefix, path, start) for prefix in options.condor]
        if all(asked) if asked else known.get((name, "", 0)) == "refused":
            counts["refused"] += 1
            counts["missed"] += not errors
    print(json.dumps(dict(sorted(counts.items())), indent=2))


if __name__ == "__main__":
    main()
