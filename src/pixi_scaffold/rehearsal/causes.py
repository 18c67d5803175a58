"""What to do about a failed job, from the words of its log: the causes that are seen most."""

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

from pixi_scaffold.rehearsal.plan import JobRun
from pixi_scaffold.system import program, which


def remedy(plan: JobRun, lines: Iterable[str]) -> str:
    """Return what to do about what the last lines of a job's logs say; empty when they say nothing.

    Files that were forgotten are another matter (forgotten.py).
    """
    text = "\n".join(lines)
    data = Path(__file__).with_name("data") / "causes.toml"
    for cause in tomllib.loads(data.read_text(encoding="utf-8"))["cause"]:
        if matched := re.search(cause["says"], text):
            word = (matched[1] if matched.re.groups else "").strip()
            file = Path(word).name
            if cause.get("unless_here") and (plan.iwd / file).exists():
                return ""
            top = word.partition(".")[0]
            add = _adding(top) if "{add}" in cause["hint"] else ""
            names = {"file": file, "folder": plan.iwd.name, "top": top, "add": add}
            return str(cause["hint"]).format(word, arguments=_line(plan), **names)
    return ""


def _adding(module: str) -> str:
    from pixi_scaffold.rules import conda_package  # only for a job that failed

    package = conda_package(module)
    if which("pixi"):
        return f"pixi add {package}"
    return f'write {package} = "*" below [dependencies] of pixi.toml, then: {program()} lock'


def _line(plan: JobRun) -> str:
    command = plan.job.command("arguments") or plan.job.command("arguments2")
    return f"line {command.line} of {plan.job.path.name}" if command else "the executable"
