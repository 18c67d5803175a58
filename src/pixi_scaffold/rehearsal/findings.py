"""What a rehearsal found, as the rows of a report."""

import os
from pathlib import Path

from pixi_scaffold.rehearsal.advice import Advice, advise, amount, time_words
from pixi_scaffold.rehearsal.delivery import ARCHIVE
from pixi_scaffold.rehearsal.failure import ending, failure, here, hold_words, input_hint, leaving
from pixi_scaffold.rehearsal.gpus import device_rows
from pixi_scaffold.rehearsal.holds import INPUT, MEMORY, OUTPUT
from pixi_scaffold.rehearsal.isolation import home
from pixi_scaffold.rehearsal.outcome import Attempt, Outcome, Rehearsed
from pixi_scaffold.report import Result, Status
from pixi_scaffold.system import program, sha256_of

_MISSING_OUTPUT = "let the job write it also when it fails, or correct transfer_output_files"
MEASURABLE = 0.2
"""Seconds that a job must run for its memory to be more than that of a process that starts."""


def results_of(done: list[Rehearsed], changed: list[str]) -> tuple[Result, ...]:
    """Return the rows: of one job in detail, of several a row each; then what they took."""
    rows = _one(done[0]) if len(done) == 1 else _rows(done)
    rows = _match(done) + rows + device_rows(done) + _archive(done)
    if len(done) > 1:
        rows += _clashes(done)
    if any(d.outcome.attempts and d.outcome.usage.seconds for d in done):
        rows += [_resource(done, a) for a in _all_advice(done)]
        rows.append(_time(done))
    rows += [
        Result("sandbox", Status.PASSED, detail=f"kept in {d.outcome.sandbox.parent}")
        for d in done
        if d.outcome.sandbox is not None
    ]
    if changed:
        rows.append(Result("fix", Status.PASSED, detail="; ".join(changed)))
    return tuple(rows)


def shell_results(done: Rehearsed) -> tuple[Result, ...]:
    """Return the rows of a shell that was opened in place of a job."""
    if not done.outcome.attempts:
        return tuple(_one(done))
    ended = ending(done.outcome.code, done.outcome.signal)
    detail = f"left with {ended}; the job was not run, nothing was brought back"
    return (_sandbox(done), Result("shell", Status.PASSED, done.outcome.usage.seconds, detail))


def _match(done: list[Rehearsed]) -> list[Result]:
    """Return a row of what keeps jobs in the queue of a pool, though they ran here."""
    waits = dict.fromkeys(w for d in done for w in d.plan.match.waits)
    if not waits:
        return []
    certain = any(w.certain for w in waits)
    detail = "on a pool it is never started" if certain else "on a pool it may never be started"
    detail += f", though it ran here: {'; '.join(w.why for w in waits)}"
    hint = "correct that line" if certain else ""
    return [Result("match", Status.FAILED if certain else Status.SKIPPED, 0, detail, hint)]


def _archive(done: list[Rehearsed]) -> list[Result]:
    """Return a finding when the archive that travels cannot use the GPU that is asked for."""
    delivery = next((d.delivery for d in done if d.delivery.for_cpu), None)
    if delivery is None:
        return []
    detail = f"{ARCHIVE} is for {delivery.for_cpu}: it cannot use the GPU that the job asks for"
    lock = f"{program()} lock && " if delivery.stand_ins else ""  # the starter channel has no CUDA
    hint = f"{lock}{program()} pack   # for the platform with CUDA"
    return [Result("archive", Status.FAILED, detail=detail, hint=hint)]


def advice_for(done: list[Rehearsed]) -> list[Advice]:
    """Return advice from jobs that went through; of those that failed it would say little."""
    return _all_advice(done) if all(d.passed for d in done) else []


def _all_advice(done: list[Rehearsed]) -> list[Advice]:
    plan = done[0].plan
    memory = max(d.outcome.usage.memory for d in done)
    disk = max(d.outcome.usage.disk for d in done)
    shortened = "measured on a shortened run" if any(d.shortened for d in done) else ""
    unlike = ""
    if any(d.outcome.hold and d.outcome.hold.code == MEMORY for d in done):
        unlike = "it was stopped there"
    elif plan.match.gpus and not any(d.outcome.usage.gpu for d in done):
        unlike = "measured without the GPU that it asks for, whose libraries take memory, too"
    elif _too_short(done) and not (plan.match.memory is not None and memory > plan.match.memory):
        unlike = "too short to measure"
    staged = "measured without the environment, which is staged"
    if not done[0].delivery.staged:
        staged = "measured with an environment for the CPU" if done[0].delivery.for_cpu else ""
    asked = plan.meant.requests
    advice = []
    for field, measured, requested, other in (
        (asked.memory, memory, plan.match.memory, unlike),
        (asked.disk, disk, plan.match.disk, staged),
    ):
        name = "request_memory" if field is asked.memory else "request_disk"
        plain = None if isinstance(field.value, str) else requested
        default = plan.job.command(name) is None
        advice.append(advise(name, measured, plain, shortened, default=default, unlike=other))
    return advice


def _too_short(done: list[Rehearsed]) -> bool:
    return max(d.outcome.usage.seconds for d in done) < MEASURABLE


def _time(done: list[Rehearsed]) -> Result:
    longest = max(done, key=lambda d: d.outcome.usage.seconds)
    why_not = "measured on a shortened run" if longest.shortened else ""
    if not all(d.passed for d in done):
        why_not = "measured on a run that failed"
    detail = time_words(longest.outcome.usage.seconds, longest.plan.meaning, why_not)
    return Result("time", Status.PASSED, detail=detail)


def _resource(done: list[Rehearsed], advice: Advice) -> Result:
    name = advice.command.removeprefix("request_")
    if not advice.over:
        detail = advice.words()
        if name == "memory" and _too_short(done):
            seconds = max(d.outcome.usage.seconds for d in done)
            detail = f"too short to measure: it ran for {seconds:.2f} s"
        return Result(name, Status.PASSED, detail=detail)
    if name == "memory":
        message = f"HTCondor would put the job on hold (HoldReasonCode {MEMORY}): "
    else:
        message = "many pools put such a job on hold, others let the disk be full: "
    hint = f"ask for more in {here(done[0].plan.job.path)}"
    if advice.suggested is not None:
        hint += ", or let --fix write it"
    return Result(name, Status.FAILED, detail=message + advice.words(), hint=hint)


def _one(done: Rehearsed) -> list[Result]:
    outcome = done.outcome
    if not outcome.attempts and (outcome.hold is None or outcome.hold.code != INPUT):
        return [_job(done)]  # it was not started
    rows = [_sandbox(done)]
    if not outcome.attempts or outcome.attempts[-1].ended == "not-started":
        if outcome.hold is not None and outcome.hold.code != INPUT:
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
    if outcome.hold is not None and outcome.hold.code == INPUT:
        hint = input_hint(done)
        return Result("inputs", Status.FAILED, detail=hold_words(outcome), hint=hint)
    detail = f"{amount(outcome.usage.bytes_in)} copied; {_walls(done)}"
    return Result("inputs", Status.PASSED, detail=detail)


def _walls(done: Rehearsed) -> str:
    """Return what the job cannot reach, in words, from what was really hidden."""
    isolated = done.outcome.isolated
    gone = [Path(path) for path in done.outcome.hidden]
    folders = {"this project": Path(os.path.realpath(done.plan.job.folder)), "home": home()}
    apart = [k for k, f in folders.items() if any(f.is_relative_to(e) for e in gone)]
    seen = [k for k in folders if k not in apart] if isolated else []
    words = (("files", "any folder but the system's"), ("network", "the network"),
             ("processes", "other processes"))  # fmt: skip
    apart += [text for key, text in words if key in isolated]
    if not apart:
        return "NOT isolated"
    but = f", but it CAN read {' and '.join(seen)}" if seen else ""
    private = "its own folder and its own /tmp, /var/tmp and /dev/shm"
    also = f", and can write only {private}" if "read-only" in isolated else ""
    by = done.outcome.isolated_by
    return f"isolated ({by}): the job cannot reach {', '.join(apart)}{but}{also}"


def _attempt(number: int, attempt: Attempt) -> Result:
    how = {
        "checkpoint": f"checkpoint (exit code {attempt.code})",
        "evicted": f"evicted; it left with {leaving(attempt)}",
        "killed": "killed; HTCondor keeps nothing of this attempt",
        "exited": f"{leaving(attempt)}; HTCondor starts it again",
        "released": f"{leaving(attempt)}; {attempt.note}",
    }[attempt.ended]
    detail = f"sandbox {attempt.sandbox}: {how}"
    only_logs = bool(attempt.kept) and all(n.startswith("_condor_") for n in attempt.kept)
    if attempt.ended == "evicted" and only_logs:
        detail += "; nothing but the logs was kept: evict it later, with --evict-after SECONDS"
    elif attempt.ended not in ("killed", "exited", "released"):
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
    if done.passed or (done.succeeded and outcome.hold is not None and outcome.hold.code == OUTPUT):
        return Result(name, Status.PASSED, seconds, f"exit code {outcome.code}{also}")
    detail, hint = failure(done)
    return Result(name, Status.FAILED, seconds, detail + also, hint, _last_lines(outcome))


def _last_lines(outcome: Outcome) -> tuple[str, ...]:
    lines: list[str] = []
    for name, tail in outcome.last_lines.items():
        if tail:
            lines += [f"--- last lines of {name}", *tail]
    return tuple(lines)


def _outputs(done: Rehearsed) -> list[Result]:
    outcome = done.outcome
    if outcome.hold is not None and outcome.hold.code == OUTPUT:
        lines = _last_lines(outcome) if done.succeeded else ()
        return [Result("outputs", Status.FAILED, 0, hold_words(outcome), _MISSING_OUTPUT, lines)]
    if outcome.state != "completed":
        return []
    size = amount(outcome.usage.bytes_out)
    detail = f"{len(outcome.brought)} files, {size}, in {here(outcome.results)}"
    return [Result("outputs", Status.PASSED, detail=detail)]


def _metrics(done: Rehearsed) -> Result:
    if done.fails_anyway:
        return Result("eviction", Status.SKIPPED, detail="the job fails without one")
    if not done.outcome.evicted and done.chosen_at_random:
        why = "the job ended before the moment that was chosen, three times: name one, with "
        return Result("eviction", Status.SKIPPED, detail=f"{why}--evict-after SECONDS")
    if not done.outcome.evicted:
        whole = done.outcome.usage.seconds
        detail = f"the job ended after {whole:.1f} s, before it could be evicted"
        hint = f"--evict-after {whole / 2:.1f}, or --evict-after random"
        return Result("eviction", Status.FAILED, detail=detail, hint=hint)
    if done.compared is None:
        why = "not asked for" if done.whole is None else "the evicted job did not complete"
        return Result("metrics", Status.SKIPPED, detail=f"not compared: {why}")
    if not done.compared.files and not done.compared.different:
        return Result("metrics", Status.SKIPPED, detail=done.compared.words())
    status = Status.FAILED if done.compared.different else Status.PASSED
    return Result("metrics", status, 0, done.compared.words(), "", done.compared.different[1:5])


ROWS = 20
"""So many jobs have a row each; of more, those that passed are one row together."""


def _rows(done: list[Rehearsed]) -> list[Result]:
    """Return a row a job; many that passed are one."""
    rows = _each_once([_row(d) for d in done])
    passed = [r for r in rows if r.status is Status.PASSED]
    if len(done) <= ROWS or not passed:
        return rows
    seconds = sum(r.seconds for r in passed)
    files = sum(len(d.outcome.brought) for d in done if d.passed)
    memory = amount(max(d.outcome.usage.memory for d in done))
    code = done[0].plan.success
    detail = (
        f"{len(passed)} of {len(done)} jobs: exit code {code}, {files} files back, {memory} at most"
    )
    together = Result("jobs", Status.PASSED, seconds, detail)
    return [together, *(r for r in rows if r.status is not Status.PASSED)]


def _row(done: Rehearsed) -> Result:
    outcome = done.outcome
    seconds = outcome.usage.seconds
    if done.passed:
        memory, files = amount(outcome.usage.memory), len(outcome.brought)
        detail = f"exit code {outcome.code}, {memory}, {files} files back"
        if outcome.evicted:
            detail += f", evicted once; {done.compared.words() if done.compared else ''}"
        wrong = done.compared is not None and bool(done.compared.different)
        status = Status.FAILED if wrong else Status.PASSED
        return Result(f"job {outcome.proc}", status, seconds, detail)
    detail, hint = failure(done)
    if outcome.hold is not None:
        ran = f"{ending(outcome.code, outcome.signal)}; " if outcome.attempts else ""
        detail = ran + hold_words(outcome)
        hint = {INPUT: input_hint(done), OUTPUT: _MISSING_OUTPUT}.get(outcome.hold.code, hint)
    lines = _last_lines(outcome)
    return Result(f"job {outcome.proc}", Status.FAILED, seconds, detail, hint, lines)


def _each_once(rows: list[Result]) -> list[Result]:
    """Return the rows, what failed in the same way in several jobs in one."""
    alike: dict[tuple[object, ...], list[Result]] = {}
    for number, row in enumerate(rows):
        failed = (row.detail, row.lines) if row.status is Status.FAILED else (number,)
        alike.setdefault(failed, []).append(row)
    for several in (rows for rows in alike.values() if len(rows) > 1):
        names = [row.name.removeprefix("job ") for row in several]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        detail = f"jobs {', '.join(names[:_NAMED])}{more}: {several[0].detail}"
        seconds = sum(row.seconds for row in several)
        several[0] = several[0]._replace(name=f"{len(names)} jobs", seconds=seconds, detail=detail)
    return [several[0] for several in alike.values()]


_NAMED = 6
"""So many jobs are named in a row that is about several."""


def _clashes(done: list[Rehearsed]) -> list[Result]:
    """Return a finding when jobs bring back one file with different contents."""
    owners: dict[str, list[Rehearsed]] = {}
    for one in done:
        for name in one.outcome.brought:
            owners.setdefault(name, []).append(one)
    for name, several in sorted(owners.items()):
        if len({sha256_of(d.outcome.results / name) for d in several}) > 1:
            jobs = ", ".join(str(d.outcome.proc) for d in several[:_NAMED])
            detail = f"jobs {jobs} all bring back {name}: on the access point the last one wins"
            hint = "put $(Process) into its name"
            return [Result("outputs", Status.FAILED, 0, detail, hint)]
    total = sum(len(d.outcome.brought) for d in done)
    where = here(done[0].outcome.results.parent)
    return [Result("outputs", Status.PASSED, 0, f"{total} files, none twice, in {where}")]
