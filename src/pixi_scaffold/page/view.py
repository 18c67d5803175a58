"""What a page shows, as plain data for its template: texts, rows and places in pictures (pure)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pixi_scaffold.lock import LockDiff, shown_size
from pixi_scaffold.page.jobs import PoolJob
from pixi_scaffold.page.project import LockedPlatform, ProjectRecords, Receipt
from pixi_scaffold.page.runs import POINTS, TrainingRun, metrics_of, thinned, varied

ROWS = 1000
"""Runs or jobs in a table; a page with more says that it has not all."""
CHANGES = 200
FINDINGS = 200
LONG = 200
"""Characters of one text."""


def project_view(records: ProjectRecords, points: int = POINTS) -> dict[str, Any]:
    """Return what the template of a project's page takes; points: of all curves together."""
    runs = records.runs[-ROWS:]
    document = {} if records.checked is None else records.checked.to_dict()
    findings = document.get("findings", [])
    return {
        "name": records.name,
        "written": records.written,
        "platforms": [_platform(p, records.platforms) for p in records.platforms],
        "lock": records.lock_sha256[:12],
        "change": records.change,
        "changes": [] if records.change is None else _changes(records.change),
        "receipts": [_receipt(r) for r in records.receipts],
        "timelines": [t for r in records.receipts for t in timelines(r)],
        "runs": [_run(run) for run in runs],
        "runs_left_out": len(records.runs) - len(runs),
        "curves": curves(runs, points),
        "sweep": _sweep(runs),
        "jobs": [_job(job) for job in records.jobs[:ROWS]],
        "jobs_left_out": max(len(records.jobs) - ROWS, 0),
        "checked": records.checked is not None,
        "findings": findings[:FINDINGS],
        "findings_left_out": max(len(findings) - FINDINGS, 0),
        "silenced": document.get("silenced", 0),
        "problems": records.problems[:20],
        "problems_left_out": max(len(records.problems) - 20, 0),
    }


def _platform(platform: LockedPlatform, every: Sequence[LockedPlatform]) -> dict[str, Any]:
    widest = max((size for p in every for _, _, size in p.largest), default=1)
    bars = [
        {"name": name, "version": version, "size": shown_size(size), "width": 100 * size / widest}
        for name, version, size in platform.largest
    ]
    unsized = f" and {platform.unsized} of unknown size" if platform.unsized else ""
    return {
        "name": platform.name,
        "versions": platform.versions,
        "packages": platform.packages,
        "size": shown_size(platform.size) + unsized,
        "bars": bars,
    }


def _changes(diff: LockDiff) -> list[dict[str, Any]]:
    rows = []
    for platform in diff.platforms:
        for change in platform.changes:
            rows.append(
                {
                    "platform": platform.name,
                    "asked": ", ".join(change.asked_by[:3]),
                    "name": change.name,
                    "move": str(change.move),
                    "before": change.before,
                    "after": change.after,
                    "download": "?" if change.download is None else shown_size(change.download),
                }
            )
    return rows[:CHANGES]


def _receipt(receipt: Receipt) -> dict[str, Any]:
    document = receipt.document
    results = [r for r in document["results"] if isinstance(r, dict)]
    skipped = [s for s in _list(document.get("skipped")) if isinstance(s, dict)]
    template = document.get("template")
    lock = {True: "the pixi.lock that is here now", False: "another lock than the one here now"}
    return {
        "command": _text(document.get("command")),
        "ok": document.get("ok") is True,
        "written": receipt.written,
        "host": _text(document.get("host")) or "a machine that it does not name",
        "lock": "no lock is named" if receipt.same_lock is None else lock[receipt.same_lock],
        "template": _text(template.get("commit")) if isinstance(template, dict) else "",
        "results": [
            {
                "name": _text(r.get("name")),
                "status": _text(r.get("status")),
                "seconds": f"{r['seconds']:.1f} s" if _is_number(r.get("seconds")) else "",
                "detail": _text(r.get("detail")),
            }
            for r in results
        ],
        "skipped": [{"what": _text(s.get("what")), "why": _text(s.get("why"))} for s in skipped],
    }


def timelines(receipt: Receipt) -> list[dict[str, Any]]:
    """Return a rehearsed job's steps in their order, and its attempts as bars over seconds."""
    document = receipt.document
    jobs = [document["rehearsal"]] if "rehearsal" in document else _list(document.get("jobs"))
    return [view for job in jobs[:20] if isinstance(job, dict) and (view := _timeline(job))]


def _timeline(job: Mapping[str, Any]) -> dict[str, Any] | None:
    usage = job.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    attempts = [a for a in _list(job.get("attempts")) if isinstance(a, dict)][:100]
    total = sum(a["seconds"] for a in attempts if _is_number(a.get("seconds"))) or 1.0
    steps = [f"inputs copied: {_size(usage.get('bytes_in'))}"]
    bars, at, saved = [], 0.0, False
    for number, attempt in enumerate(attempts):
        seconds = attempt["seconds"] if _is_number(attempt.get("seconds")) else 0.0
        ended, kept = _text(attempt.get("ended")), len(_list(attempt.get("kept")))
        again = "resumed" if saved else "started from the beginning"
        began = "started" if number == 0 else again
        saved = saved or kept > 0
        how = f"{ended}, exit code {attempt.get('code')}" if ended == "exited" else ended
        step = f"{began} in sandbox {_text(attempt.get('sandbox'))}, ran {seconds:.1f} s, {how}"
        steps.append(step + (f"; {kept} files kept" if kept else ""))
        x, width = 100 * at / total, max(100 * seconds / total, 0.5)
        kind = {"checkpoint": "kept", "exited": "done"}.get(ended, "lost")
        bars.append({"x": x, "width": width, "kind": kind, "label": f"{seconds:.1f} s: {how}"})
        at += seconds
    brought = len(_list(job.get("brought")))
    steps.append(f"{brought} files back: {_size(usage.get('bytes_out'))}")
    state = _text(job.get("state"))
    name = f"{_text(job.get('name')) or 'cluster job'} {_text(job.get('proc'))}".strip()
    return {"name": name, "state": state, "bars": bars, "steps": steps, "total": f"{total:.1f} s",
            "notes": [_text(n) for n in _list(job.get("notes"))]}  # fmt: skip


def _run(run: TrainingRun) -> dict[str, Any]:
    config = run.config
    last = run.last
    return {
        "name": _text(run.name),
        "started": _text(config.get("started")),
        "starts": run.starts,
        "device": _text(config.get("device")),
        "commit": _text(config.get("git_commit"))[:10],
        "rows": len(run.rows),
        "last": {name: f"{value:.4g}" for name, value in last.items()},
    }


def curves(runs: Sequence[TrainingRun], points: int) -> dict[str, Any]:
    """Return the curves as the page's script draws them: per metric flat lists x, y, x, y.

    most: points that one curve has at most; full: that the longest has in its file.
    """
    metrics = metrics_of(runs)[:8]
    lines = sum(name in run.metrics for run in runs for name in metrics)
    most = max(points // max(lines, 1), 8)
    data: dict[str, dict[str, list[Any]]] = {name: {} for name in metrics}
    for number, run in enumerate(runs):
        for name in metrics:
            if name in run.metrics:
                flat = (n for point in thinned(run.curve(name), most) for n in point)
                data[name][str(number)] = [_short(n) for n in flat]
    longest = max((len(run.rows) for run in runs), default=0)
    return {
        "names": [_text(run.name) for run in runs],
        "axis": next((run.axis for run in runs if run.rows), "row"),
        "metrics": data,
        "most": most,
        "full": longest,
    }


def _short(number: float | None) -> float | int | None:
    """Return a number with four digits: more cannot be seen in a picture."""
    if number is None:
        return None
    short = float(f"{number:.4g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short


def _sweep(runs: Sequence[TrainingRun]) -> dict[str, Any] | None:
    """Return the table of a sweep: what varies, and the last of each metric; None without one."""
    columns = varied(runs)[:6]
    measured = metrics_of(runs)[:6]
    if len(runs) < 2 or not columns or not measured:
        return None
    rows = [
        {
            "name": _text(run.name),
            "cells": [_cell(run.arguments.get(c)) for c in columns]
            + [_cell(run.last.get(m)) for m in measured],
        }
        for run in runs
    ]
    return {"columns": [*columns, *measured], "settings": len(columns), "rows": rows}


def _cell(value: Any) -> str:
    """Return what a cell shows; the page sorts and draws by it, too."""
    shown = f"{value:.5g}" if isinstance(value, float) else "" if value is None else value
    return _text(shown)


def _job(job: PoolJob) -> dict[str, Any]:
    total = sum(job.seconds.values()) or 1.0
    at, bars = 0.0, []
    for state, seconds in job.seconds.items():
        bars.append({"x": at, "width": 100 * seconds / total, "kind": state})
        at += 100 * seconds / total
    return {
        "id": f"{job.cluster}.{job.proc}",
        "state": job.state,
        "submitted": job.submitted,
        "values": _text(job.values),
        "starts": job.starts,
        "times": {state: _time(seconds) for state, seconds in job.seconds.items()},
        "bars": bars,
    }


def _time(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def _size(value: Any) -> str:
    return shown_size(int(value)) if _is_number(value) else "an unknown size"


def _is_number(value: Any) -> bool:
    """Whether a value is a number that can be drawn: finite, and no larger than a float."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return plain and abs(value) < 1e300


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    """Return a value of somebody's file as one line of bounded length."""
    text = (
        value if isinstance(value, str) else "" if value is None else json.dumps(value, default=str)
    )
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= LONG else text[: LONG - 1] + "…"


def lab_view(standings: Iterable[Mapping[str, Any]], written: str) -> dict[str, Any]:
    """Return what the template of a lab's page takes: a row a project, as `status` says them."""
    rows = [
        {
            "name": _text(one.get("name")),
            "folder": _text(one.get("project")),
            "version": _text(one.get("version")),
            "newest": _text(one.get("newest")),
            "behind": _text(one.get("behind")),
            "drift": len(_list(one.get("drift"))),
            "lock": _text((one.get("lock") or {}).get("state")),
            "proof": _text((one.get("receipt") or {}).get("day")),
            "proved": (one.get("receipt") or {}).get("ok"),
            "error": _text(one.get("error")),
            "todo": [_text(command) for command in _list(one.get("todo"))],
        }
        for one in standings
    ]
    return {"rows": rows, "written": written}
