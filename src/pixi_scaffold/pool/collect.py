"""`collect`: one table and one picture of all runs of a sweep, over every submission of it."""

import csv
import importlib.util
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pixi_scaffold.errors import UsageError
from pixi_scaffold.pool.events import ProcState
from pixi_scaffold.pool.follow import read_states
from pixi_scaffold.pool.metrics import Rows, find_metrics, numbers, picture
from pixi_scaffold.pool.receipt import SubmitReceipt, find_named, receipts
from pixi_scaffold.report import Progress, Report, Run, Verdict
from pixi_scaffold.system import replacing

Value = str | int | float | None


@dataclass(frozen=True, slots=True)
class CollectedRun:
    """One run: which job it was, what it was given, and what came of it."""

    label: str
    values: Mapping[str, str]
    state: ProcState
    metrics: Rows

    def cells(self) -> dict[str, Value]:
        """Return it as a row of the table: last of each metric under its own name."""
        row = self.metrics[-1] if self.metrics else {}
        last = {key: row[key] for key in numbers(row)}
        given: dict[str, Value] = {k: _typed(v) for k, v in self.values.items() if k != "name"}
        return {
            "job": self.label.partition(" ")[0],
            **given,
            "state": self.state.state,
            "exit_code": self.state.code,
            "seconds": round(self.state.seconds(time.time()), 1),
            **{key: value for key, value in last.items() if key not in given},
        }


def collect_runs(name: str, output: Path, progress: Progress) -> Report:
    """Write OUTPUT.csv, OUTPUT.svg and, where pyarrow is installed, OUTPUT.parquet.

    name: a cluster alone; empty: every submission of the description that was submitted last.
    Raises UsageError where nothing was submitted.
    """
    run = Run(progress)
    newest, proc = find_named(Path(), name)
    if proc is not None:
        raise UsageError(f"{name} is one job", f"name its cluster: {newest.cluster}")
    some = receipts(Path(), newest.description)
    with run.step("collect") as step:
        collected_runs = best_runs([newest] if name else list(some))
        rows = [one.cells() for one in collected_runs]
        names = list(dict.fromkeys(key for row in rows for key in row))
        files = [_written(output.with_suffix(".csv"), lambda path: _write_csv(path, names, rows))]
        runs = {one.label: one.metrics for one in collected_runs if one.metrics}
        if text := picture(runs, f"{len(runs)} runs"):
            drawn = output.with_suffix(".svg")
            files.append(_written(drawn, lambda path: path.write_text(text, "utf-8")))
        notes = []
        if importlib.util.find_spec("pyarrow") is not None:
            parquet = output.with_suffix(".parquet")
            files.append(_written(parquet, lambda path: _write_parquet(path, names, rows)))
        else:
            notes.append('no Parquet, which needs pyarrow: pip install "pixi-scaffold[parquet]"')
        step.passed(f"{len(rows)} runs")
    done = sum(one.state.succeeded for one in collected_runs)
    text = f"{done} of {len(collected_runs)} runs are done: {', '.join(files)}"
    left = done < len(collected_runs) and any(job.values for job in newest.jobs)
    then = (f"{newest.command} --failed",) if left else ()
    facts = {"rows": rows, "files": files}
    return Report("collect", run.results, facts, then, verdict=Verdict(True, text, tuple(notes)))


def best_runs(some: Iterable[SubmitReceipt]) -> list[CollectedRun]:
    """Return a run for each row: one that is done, where there is one, and the newest of them.

    some: the newest first.
    """
    best: dict[tuple[tuple[str, str], ...], CollectedRun] = {}
    for receipt in some:
        for number, state in read_states(receipt).items():
            job = receipt.jobs[number]
            rows = find_metrics(Path(receipt.folder) / "runs" / job.run, "") if job.run else ()
            one = CollectedRun(receipt.named(number), job.values, state, rows)
            key = tuple(sorted((k, v) for k, v in one.values.items() if k != "name"))
            key = key or (("job", one.label),)
            before = best.get(key)
            if before is None or (one.state.succeeded and not before.state.succeeded):
                best[key] = one
    return sorted(best.values(), key=lambda one: [_number_first(v) for v in one.values.values()])


def _typed(text: str) -> str | int | float:
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def _number_first(text: str) -> tuple[int, float, str]:
    value = _typed(text)
    return (0, float(value), "") if isinstance(value, int | float) else (1, 0.0, text)


def _written(path: Path, write: Callable[[Path], object]) -> str:
    with replacing(path) as new:
        write(new)
    return str(path)


def _write_csv(path: Path, names: list[str], rows: list[dict[str, Value]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


def _write_parquet(path: Path, names: list[str], rows: list[dict[str, Value]]) -> None:
    import pyarrow
    from pyarrow import parquet

    columns = {}
    for name in names:
        values = [row.get(name) for row in rows]
        mixed = any(isinstance(v, str) for v in values)
        columns[name] = [None if v is None else str(v) for v in values] if mixed else values
    parquet.write_table(pyarrow.table(columns), path)
