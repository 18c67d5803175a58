"""What a page shows, as plain data for its template: texts, rows and places in pictures (pure)."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from pixi_scaffold.lock import shown_size
from pixi_scaffold.page.jobs import PoolJob
from pixi_scaffold.page.project import ProjectRecords
from pixi_scaffold.page.runs import POINTS, TrainingRun, metrics_of, number, thinned, varied

ROWS = 1000
"""Runs or jobs in a table; a page with more says that it has not all."""
FINDINGS = 200
LONG = 200
"""Characters of one text."""
_KINDS = {"checkpoint": "kept", "exited": "done"}
"""How a run of a job is drawn, by how it ended."""
_STANDING = ("name", "project", "version", "newest", "behind", "error")


def project_view(records: ProjectRecords, points: int = POINTS) -> dict[str, Any]:
    """Return what the template of a project's page takes; points: of all curves together."""
    runs = records.runs[-ROWS:]
    document = {} if records.checked is None else records.checked.to_dict()
    findings = document.get("findings", [])
    return {
        "name": records.name,
        "written": records.written,
        "platforms": records.platforms,
        "widest": max((size for p in records.platforms for *_, size in p.largest), default=1),
        "lock": records.locks.get("pixi.lock", "")[:12],
        "change": records.change,
        "receipts": [_receipt(r, records.locks) for r in records.receipts],
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


def _receipt(document: Mapping[str, Any], locks: Mapping[str, str]) -> dict[str, Any]:
    return {
        "command": _text(document.get("command")),
        "ok": document.get("ok") is True,
        "written": document["written"],
        "host": _text(document.get("host")) or "a machine that it does not name",
        "lock": _lock(document.get("lock"), locks),
        "template": _text(_table(document.get("template")).get("commit")),
        "results": [
            [_text(r.get(key)) for key in ("name", "status", "detail")]
            + [f"{seconds:.1f} s" if (seconds := _seconds(r.get("seconds"))) else ""]
            for r in _objects(document["results"])
        ],
        "skipped": [
            f"{_text(s.get('what'))}: {_text(s.get('why'))}"
            for s in _objects(document.get("skipped"))
        ],
    }


def _lock(lock: Any, locks: Mapping[str, str]) -> str:
    if not isinstance(lock, dict):
        return "not named, because the environment is not exactly what a lock here has"
    sha256 = lock.get("sha256")
    name = next((f"{name}, as it is now" for name, one in locks.items() if one == sha256), "")
    return f"{_text(sha256)[:12]} ({name or 'not one that is here now'})"


def timelines(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a rehearsed job's steps in their order, and its attempts as bars over seconds."""
    jobs = [document["rehearsal"]] if "rehearsal" in document else document.get("jobs")
    return [_timeline(job) for job in _objects(jobs)[:20]]


def _timeline(job: Mapping[str, Any]) -> dict[str, Any]:
    usage = _table(job.get("usage"))
    steps: list[str] = []
    parts: list[tuple[str, float, str]] = []  # how it is drawn, seconds, words
    saved, kept = False, 0
    for attempt in _objects(job.get("attempts"))[:100]:
        ran, into, out = (_seconds(attempt.get(f"seconds{way}")) for way in ("", "_in", "_out"))
        ended, kept = _text(attempt.get("ended")), len(_list(attempt.get("kept")))
        how = f"{ended}, exit code {attempt.get('code')}" if ended == "exited" else ended
        if into or not steps:
            steps.append(
                f"inputs copied into sandbox {_text(attempt.get('sandbox'))}: {into:.2f} s"
            )
        again = "resumed" if saved else "started from the beginning"
        steps.append(f"{again if parts else 'started'}, ran {ran:.2f} s, {how}")
        parts += [("moved", into, "copied in"), (_KINDS.get(ended, "lost"), ran, how)]
        parts.append(("moved", out, "copied out"))
        saved = saved or kept > 0
        if kept:
            steps.append(f"{kept} file{'s' * (kept != 1)} kept: {out:.2f} s")
    back = parts[-1][1] if parts and not kept else 0.0
    brought = len(_list(job.get("brought")))
    steps.append(f"{brought} file{'s' * (brought != 1)} back: {back:.2f} s")
    size = f"{_size(usage.get('bytes_in'))} in, {_size(usage.get('bytes_out'))} back"
    name = f"{_text(job.get('name')) or 'cluster job'} {_text(job.get('proc'))}".strip()
    total = sum(seconds for _, seconds, _ in parts)
    return {"name": name, "state": _text(job.get("state")), "bars": _bars(parts, total),
            "steps": steps, "total": f"{total:.1f} s", "size": size,
            "notes": [_text(n) for n in _list(job.get("notes"))]}  # fmt: skip


def _bars(parts: Iterable[tuple[str, float, str]], total: float) -> list[dict[str, Any]]:
    at, bars = 0.0, []
    for kind, seconds, words in parts:
        if seconds:
            share = 100 * seconds / total
            label = f"{words}: {seconds:.2f} s"
            bars.append({"x": at, "width": max(share, 0.3), "kind": kind, "label": label})
            at += share
    return bars


def _seconds(value: Any) -> float:
    return max(number(value) or 0.0, 0.0)


def _run(run: TrainingRun) -> dict[str, Any]:
    config = run.config
    return {
        "name": _text(run.name),
        "started": _text(config.get("started"))[:19].replace("T", " "),
        "starts": run.starts,
        "device": _text(config.get("device")),
        "commit": _text(config.get("git_commit"))[:10],
        "rows": len(run.rows),
        "last": {name: f"{value:.4g}" for name, value in run.last.items()},
    }


def curves(runs: Sequence[TrainingRun], points: int) -> dict[str, Any]:
    """Return the curves as the page's script draws them: per metric and run the lists x, y, time.

    most: points that one curve has at most; full: that the longest has in its file; unit: of the
    time since a run's first start; untimed: how many runs did not write it down.
    """
    metrics = metrics_of(runs)[:8]
    lines = sum(name in run.metrics for run in runs for name in metrics)
    most = max(points // max(lines, 1), 8)
    data: dict[str, dict[str, list[list[Any]]]] = {name: {} for name in metrics}
    unit, length = _unit(runs)
    for place, run in enumerate(runs):
        for name in metrics:
            if name in run.metrics:
                x, y, time = zip(*thinned(run.curve(name), most), strict=True)
                in_unit = [None if t is None else t / length for t in time] if unit else []
                columns = (x, y, in_unit) if any(in_unit) else (x, y)
                data[name][str(place)] = [[_short(n) for n in column] for column in columns]
    return {
        "names": [_text(run.name) for run in runs],
        "axis": next((run.axis for run in runs if run.rows), "row"),
        "metrics": data,
        "unit": unit,
        "untimed": sum(not any(run.clock) for run in runs if run.rows),
        "most": most,
        "full": max((len(run.rows) for run in runs), default=0),
    }


def _unit(runs: Sequence[TrainingRun]) -> tuple[str, int]:
    """Return the unit for the longest run's time, and its seconds; empty where no run has one."""
    longest = max((second or 0.0 for run in runs for second in run.clock), default=0.0)
    units = (("hours", 3600), ("minutes", 60), ("seconds", 1))
    return next((unit for unit in units if longest >= 2 * unit[1]), ("", 1))


def _short(value: float | None) -> float | int | None:
    """Return a number with four digits: more cannot be seen in a picture."""
    if value is None:
        return None
    short = float(f"{value:.4g}")
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
    parts = [(state, seconds, state) for state, seconds in job.seconds.items()]
    return {
        "id": f"{job.cluster}.{job.proc}",
        "state": job.state,
        "submitted": job.submitted,
        "values": _text(job.values),
        "starts": job.starts,
        "times": {k: str(timedelta(seconds=int(n))) for k, n in job.seconds.items()},
        "bars": _bars(parts, sum(job.seconds.values())),
    }


def _size(value: Any) -> str:
    return "an unknown size" if (size := number(value)) is None else shown_size(int(size))


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in _list(value) if isinstance(one, dict)]


def _text(value: Any) -> str:
    """Return a value of somebody's file as one line of bounded length."""
    text = "" if value is None else value
    text = text if isinstance(text, str) else json.dumps(text, default=str)
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= LONG else text[: LONG - 1] + "…"


def lab_view(standings: Iterable[Mapping[str, Any]], written: str) -> dict[str, Any]:
    """Return what the template of a lab's page takes: a row a project, as `status` says them."""
    rows = [
        {
            **{name: _text(one.get(name)) for name in _STANDING},
            "drift": len(_list(one.get("drift"))),
            "lock": _text((one.get("lock") or {}).get("state")),
            "proof": _text((one.get("receipt") or {}).get("day")),
            "proved": (one.get("receipt") or {}).get("ok"),
            "todo": [_text(command) for command in _list(one.get("todo"))],
        }
        for one in standings
    ]
    return {"rows": rows, "written": written}
