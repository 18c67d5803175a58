"""A check's report for continuous integration: GitHub's annotations, and SARIF 2.1.0."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pixi_scaffold import __version__
from pixi_scaffold.report.result import Report

_LEVELS = {"error": "error", "warning": "warning", "note": "notice"}
DOCS = "https://github.com/pixi-scaffold/pixi-scaffold/blob/main/docs/reference/rules"
"""Where the page of each rule is."""


def _findings(report: Report) -> Iterable[dict[str, Any]]:
    """Return the findings, their files seen from the top of the repository."""
    document, here = report.to_dict(), Path.cwd()
    root = Path(document.get("root", "."))
    top = next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), here)
    return tuple({**f, "file": _below(top, root / f["file"])} for f in document.get("findings", ()))


def _below(top: Path, file: Path) -> str:
    """Return a file as seen from a folder; what lies elsewhere is named from the root."""
    path = os.path.relpath(file, top)
    return file.as_posix() if path.startswith("..") else Path(path).as_posix()


def _words(finding: dict[str, Any]) -> str:
    """Return what a finding says, and how many more there are that are not listed."""
    more = f" (and {finding['more']} more in this file)" if finding.get("more") else ""
    return f"{finding['message']}{more}. Why: {finding['why']}. Fix: {finding['fix']}"


def github(report: Report) -> str:
    """Return workflow commands, one a finding and one a stage that failed for another reason.

    Source: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
    """
    lines = []
    for f in _findings(report):
        file = _data(f["file"]).replace(":", "%3A").replace(",", "%2C")
        place = f"file={file},line={max(f['line'], 1)}"
        if "column" in f:
            place += f",col={f['column']},endColumn={f['end_column']}"
        place += f",title={f['rule']}"
        text = _data(_words(f))
        lines.append(f"::{_LEVELS[f['severity']]} {place}::{text}")
    lines += [f"::error title={name}::{_data(text)}" for name, text in _failures(report)]
    return "".join(f"{line}\n" for line in lines)


def sarif(report: Report, rules: Iterable[tuple[str, str]]) -> str:
    """Return a SARIF log; rules: (id, title) of every rule there is.

    Source: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
    """
    results = [
        {
            "ruleId": f["rule"],
            "level": f["severity"],
            "message": {"text": _words(f)},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": quote(f["file"])},
                        "region": _region(f),
                    }
                }
            ],
        }
        for f in _findings(report)
    ]
    results += [
        {"ruleId": name, "level": "error", "message": {"text": text}}
        for name, text in _failures(report)
    ]
    driver = {
        "name": "pixi-scaffold",
        "version": __version__,
        "informationUri": "https://github.com/pixi-scaffold/pixi-scaffold",
        "rules": [
            {"id": id_, "shortDescription": {"text": title}, "helpUri": f"{DOCS}/{id_}.md"}
            for id_, title in rules
        ],
    }
    document = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }
    return json.dumps(document, indent=2) + "\n"


def _region(finding: dict[str, Any]) -> dict[str, int]:
    """Return the line of a finding, and its columns where they are known."""
    region = {"startLine": max(finding["line"], 1)}
    if "column" in finding:
        region |= {"startColumn": finding["column"], "endColumn": finding["end_column"]}
    return region


def _failures(report: Report) -> Iterable[tuple[str, str]]:
    """Return the name of each stage that failed for another reason than findings, and why."""
    failed = (r for r in report.failed if r.name not in ("submit", "worker"))
    return [(r.name, "\n".join((r.detail, *r.lines))) for r in failed]


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
