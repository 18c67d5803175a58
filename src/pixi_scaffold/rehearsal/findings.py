"""What a rehearsal found, as the rows of a report."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixi_scaffold.process import program
from pixi_scaffold.rehearsal.advice import Advice, advise, amount
from pixi_scaffold.rehearsal.comparison import Comparison
from pixi_scaffold.rehearsal.delivery import LOCK, Delivery
from pixi_scaffold.rehearsal.forgotten import forgotten
from pixi_scaffold.rehearsal.isolation import home
from pixi_scaffold.rehearsal.outcome import Attempt, Outcome
from pixi_scaffold.rehearsal.plan import Plan
from pixi_scaffold.report import Result, Status

OUT_OF_MEMORY = 34
"""HoldReasonCode of a job that takes more memory than its slot has (condor_holdcodes.h)."""


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """One job and what became of it. whole: the uninterrupted run, where one was made."""

    plan: Plan
    delivery: Delivery
    outcome: Outcome
    real_gpu: bool = False
    shortened: bool = False
    whole: Outcome | None = None
    compared: Comparison | None = None
    evict_after: float | None = None
    fails_anyway: bool = False

    @property
    def passed(self) -> bool:
        """Whether it completed with exit code 0."""
        return self.outcome.state == "completed" and self.outcome.code == 0

    def to_dict(self) -> dict[str, Any]:
        """Return it as the JSON document has it."""
        plan = self.plan
        found = self.outcome.to_dict()
        found["requested"] = {"memory": plan.memory, "disk": plan.disk, "cpus": plan.cpus}
        found["delivery"] = {"kind": self.delivery.kind, "staged": self.delivery.staged}
        if self.compared is not None:
            found["compared"] = {
                "files": list(self.compared.files),
                "exact": self.compared.exact,
                "different": list(self.compared.different),
                "ignored": list(self.compared.ignored),
            }
        return found


def results_of(done: list[Rehearsed], changed: list[str]) -> tuple[Result, ...]:
    """Return the rows: of one job in detail, of several a row each; then what they took."""
    rows = _one(done[0]) if len(done) == 1 else [_row(d) for d in done]
    if len(done) > 1:
        rows += _clashes(done)
    if any(d.outcome.attempts and d.outcome.usage.seconds for d in done):
        rows += [_resource(done, a) for a in _all_advice(done)]
    rows += [
        Result("sandbox", Status.PASSED, detail=f"kept: {d.outcome.sandbox}")
        for d in done
        if d.outcome.sandbox is not None
    ]
    if changed:
        rows.append(Result("fix", Status.PASSED, detail="; ".join(changed)))
    return tuple(rows)


def advice_for(done: list[Rehearsed]) -> list[Advice]:
    """Return advice from jobs that went through; of those that failed it would say little."""
    return _all_advice(done) if all(d.passed for d in done) else []


def _all_advice(done: list[Rehearsed]) -> list[Advice]:
    plan = done[0].plan
    memory = max(d.outcome.usage.memory for d in done)
    disk = max(d.outcome.usage.disk for d in done)
    shortened = "measured on a shortened run" if any(d.shortened for d in done) else ""
    without_gpu = plan.gpus and not done[0].real_gpu
    no_gpu = "measured without the GPU that it asks for, whose libraries take memory, too"
    staged = "measured without the environment, which is staged"
    return [
        advise(
            "request_memory",
            memory,
            plan.memory,
            no_gpu if without_gpu else shortened,
            default=plan.job.command("request_memory") is None,
        ),
        advise(
            "request_disk",
            disk,
            plan.disk,
            staged if done[0].delivery.staged else shortened,
            default=plan.job.command("request_disk") is None,
        ),
    ]


def _resource(done: list[Rehearsed], advice: Advice) -> Result:
    name = advice.command.removeprefix("request_")
    if not advice.over:
        return Result(name, Status.PASSED, detail=advice.words())
    if name == "memory":
        what = f"HTCondor would put the job on hold (HoldReasonCode {OUT_OF_MEMORY}): "
    else:
        what = "many pools put such a job on hold, others let the disk be full: "
    hint = f"ask for more, or let --fix write it: {here(done[0].plan.job.path)}"
    return Result(name, Status.FAILED, detail=what + advice.words(), hint=hint)


def _one(done: Rehearsed) -> list[Result]:
    outcome = done.outcome
    rows = [_sandbox(done)]
    if not outcome.attempts or outcome.attempts[-1].ended == "not-started":
        if outcome.hold is not None and outcome.hold.code != 13:
            rows.append(_job(done))
        return rows
    several = len(outcome.attempts) > 1
    rows += [_attempt(n, a) for n, a in enumerate(outcome.attempts[:-1], start=1)]
    rows.append(_job(done, len(outcome.attempts) if several else 0))
    rows += _outputs(done)
    if done.evict_after is not None or done.fails_anyway:
        rows.append(_metrics(done))
    return rows


def _sandbox(done: Rehearsed) -> Result:
    outcome = done.outcome
    if outcome.hold is not None and outcome.hold.code == 13:
        hint = "correct transfer_input_files, or make the file"
        if "env.tar.gz" in outcome.hold.reason:
            hint = f"make it: {program()} pack"
        elif LOCK in outcome.hold.reason:
            hint = f"make it: {program()} lock; where that cannot be: {program()} check --rehearse"
        return Result("inputs", Status.FAILED, detail=_hold_words(outcome), hint=hint)
    detail = f"{amount(outcome.usage.bytes_in)} copied; {_walls(done)}"
    return Result("inputs", Status.PASSED, detail=detail)


def _walls(done: Rehearsed) -> str:
    """Return what the job cannot reach, in words, from what was really hidden."""
    isolated = done.outcome.isolated
    gone = [Path(path) for path in done.outcome.hidden]
    folders = {"this project": Path(os.path.realpath(done.plan.job.folder)), "home": home()}
    apart = [k for k, f in folders.items() if any(f.is_relative_to(e) for e in gone)]
    seen = [k for k in folders if k not in apart] if isolated else []
    words = {
        "files": "any folder but the system's",
        "network": "the network",
        "processes": "other processes",
    }
    apart += [text for key, text in words.items() if key in isolated]
    if not apart:
        return "NOT isolated"
    but = f", but it CAN read {' and '.join(seen)}" if seen else ""
    own = "its own folder and its own /tmp, /var/tmp and /dev/shm"
    also = f", and can write only {own}" if "read-only" in isolated else ""
    return f"the job cannot reach {', '.join(apart)}{but}{also}"


def _attempt(number: int, attempt: Attempt) -> Result:
    how = {
        "checkpoint": f"checkpoint (exit code {attempt.code})",
        "evicted": f"evicted; it left with {_leaving(attempt)}",
        "killed": "killed; HTCondor keeps nothing of this attempt",
    }[attempt.ended]
    detail = f"sandbox {attempt.sandbox}: {how}"
    if attempt.ended != "killed":
        kept = f"kept {len(attempt.kept)} files: {_some(attempt.kept)}"
        detail += f"; {kept}" if attempt.kept else f"; {attempt.note or 'nothing was kept'}"
    return Result(f"attempt {number}", Status.PASSED, attempt.seconds, detail)


def _some(names: tuple[str, ...]) -> str:
    shown = [n for n in names if not n.startswith("_condor_")][:4]
    more = len(names) - len(shown)
    return ", ".join([*shown, *([f"{more} more"] if more else [])])


def _job(done: Rehearsed, number: int = 0) -> Result:
    outcome = done.outcome
    name = f"attempt {number}" if number else "job"
    seconds = outcome.attempts[-1].seconds if outcome.attempts else 0.0
    left = outcome.attempts[-1].left if outcome.attempts else 0
    many = "1 process was" if left == 1 else f"{left} processes were"
    also = f"; {many} left behind and killed" if left else ""
    if done.passed or (outcome.code == 0 and outcome.hold is not None and outcome.hold.code == 12):
        return Result(name, Status.PASSED, seconds, f"exit code 0{also}")
    detail, hint = _failure(done)
    return Result(name, Status.FAILED, seconds, detail + also, hint, _last_lines(outcome))


def _failure(done: Rehearsed) -> tuple[str, str]:
    outcome = done.outcome
    ended = outcome.attempts[-1].ended if outcome.attempts else ""
    if outcome.state == "stopped":
        why = {
            "timeout": ("it did not end within the time of --timeout", "give it more: --timeout"),
            "disk": ("stopped: it had nearly filled the disk of this machine", ""),
        }
        return why.get(ended, ("it saves checkpoint after checkpoint and does not end", ""))
    if outcome.hold is not None and outcome.hold.code not in (12, 13):
        hint = "correct the executable or the checkpoint's files"
        return _hold_words(outcome), _mend_ends(done.plan) or hint
    detail = f"the job ended with {_ending(outcome.code, outcome.signal)}"
    if outcome.code in (126, 127) and (hint := _mend_ends(done.plan)):
        return f"{detail}: {done.plan.executable.name} has Windows line ends (CRLF)", hint
    return detail + _retries(done), _forgotten(done)


def _retries(done: Rehearsed) -> str:
    """Return whether HTCondor would try a job that failed again, in words."""
    job, code = done.plan.job, done.outcome.code
    retries, until = job.text("max_retries"), job.text("retry_until") or ""
    if not retries or retries == "0" or code is None:
        return ""
    stops = re.fullmatch(r"(?:ExitCode\s*(?:=\?=|==)\s*)?(\d+)", until.strip(), re.IGNORECASE)
    if stops and int(stops[1]) == code:
        return f"; HTCondor does not try it again (retry_until = {until})"
    unless = f", unless {until}" if until and not stops else ""
    return f"; HTCondor tries it again (max_retries = {retries}{unless})"


def _forgotten(done: Rehearsed) -> str:
    lines = (line for tail in done.outcome.last_lines.values() for line in tail)
    return forgotten(done.plan, lines)


def _ending(code: int | None, number: int | None) -> str:
    if number is None:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        name = signal.Signals(number).name
        return f"{name} (perhaps out of memory)" if name == "SIGKILL" else name
    return f"signal {number}"


def _leaving(attempt: Attempt) -> str:
    """Return how a job left that was told to, and whether it did so before it could save."""
    words = _ending(attempt.code, attempt.signal)
    if attempt.code == 128 + signal.SIGTERM or attempt.signal == signal.SIGTERM:
        words += ": SIGTERM came before the training could save"
    return words


def _mend_ends(plan: Plan) -> str:
    """Return the command that mends the Windows line ends of the executable; empty without."""
    with contextlib.suppress(OSError), plan.executable.open("rb") as file:
        first = file.readline(256)
        if first.startswith(b"#!") and first.endswith(b"\r\n"):
            return f"{program()} check --fix"
    return ""


def _hold_words(outcome: Outcome) -> str:
    hold = outcome.hold
    assert hold is not None  # noqa: S101  asked for only then
    return f"HTCondor would put the job on hold ({hold.code}, {hold.subcode}): {hold.reason}"


def _last_lines(outcome: Outcome) -> tuple[str, ...]:
    lines: list[str] = []
    for name, tail in outcome.last_lines.items():
        if tail:
            lines += [f"--- last lines of {name}", *tail]
    return tuple(lines)


def _outputs(done: Rehearsed) -> list[Result]:
    outcome = done.outcome
    if outcome.hold is not None and outcome.hold.code == 12:
        hint = "let the job write it also when it fails, or correct transfer_output_files"
        lines = () if outcome.code != 0 else _last_lines(outcome)
        return [Result("outputs", Status.FAILED, 0, _hold_words(outcome), hint, lines)]
    if outcome.state != "completed":
        return []
    size = amount(outcome.usage.bytes_out)
    detail = f"{len(outcome.brought)} files, {size}, in {here(outcome.results)}"
    return [Result("outputs", Status.PASSED, detail=detail)]


def here(path: Path) -> str:
    """Return a path as it is written from this folder, when that is shorter."""
    return min(os.path.relpath(path), str(path), key=len)


def _metrics(done: Rehearsed) -> Result:
    if done.fails_anyway:
        return Result("eviction", Status.SKIPPED, detail="the job fails without one")
    if not done.outcome.evicted:
        whole = done.outcome.usage.seconds
        return Result(
            "eviction",
            Status.FAILED,
            detail=f"the job ended after {whole:.1f} s, before it could be evicted",
            hint=f"--evict-after {whole / 2:.1f}, or --evict-after random",
        )
    if done.compared is None:
        why = "not asked for" if done.whole is None else "the evicted job did not complete"
        return Result("metrics", Status.SKIPPED, detail=f"not compared: {why}")
    if not done.compared.files and not done.compared.different:
        return Result("metrics", Status.SKIPPED, detail=done.compared.words())
    status = Status.FAILED if done.compared.different else Status.PASSED
    return Result("metrics", status, 0, done.compared.words(), "", done.compared.different[1:5])


def _row(done: Rehearsed) -> Result:
    outcome = done.outcome
    seconds = outcome.usage.seconds
    if done.passed:
        detail = f"exit code 0, {amount(outcome.usage.memory)}, {len(outcome.brought)} files back"
        if outcome.evicted:
            detail += f", evicted once; {done.compared.words() if done.compared else ''}"
        wrong = done.compared is not None and bool(done.compared.different)
        status = Status.FAILED if wrong else Status.PASSED
        return Result(f"job {outcome.proc}", status, seconds, detail)
    detail, hint = _failure(done)
    if outcome.hold is not None:
        detail = _hold_words(outcome)
    lines = _last_lines(outcome)
    return Result(f"job {outcome.proc}", Status.FAILED, seconds, detail, hint, lines)


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _clashes(done: list[Rehearsed]) -> list[Result]:
    """Return a finding when jobs bring back one file with different contents."""
    owners: dict[str, list[Rehearsed]] = {}
    for one in done:
        for name in one.outcome.brought:
            owners.setdefault(name, []).append(one)
    for name, several in sorted(owners.items()):
        if len({_sum(d.outcome.results / name) for d in several}) > 1:
            jobs = ", ".join(str(d.outcome.proc) for d in several[:6])
            detail = f"jobs {jobs} all bring back {name}: on the access point the last one wins"
            hint = "put $(Process) into its name"
            return [Result("outputs", Status.FAILED, 0, detail, hint)]
    total = sum(len(d.outcome.brought) for d in done)
    where = here(done[0].outcome.results.parent)
    return [Result("outputs", Status.PASSED, 0, f"{total} files, none twice, in {where}")]
