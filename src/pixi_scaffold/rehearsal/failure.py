"""Why a rehearsed job failed, in words, and what to do about it."""

import contextlib
import os
import shlex
import signal
from pathlib import Path

from pixi_scaffold.rehearsal import holds
from pixi_scaffold.rehearsal.delivery import ALLOW_CPU, ARCHIVE, LOCK
from pixi_scaffold.rehearsal.outcome import Attempt, Outcome, Rehearsed
from pixi_scaffold.rehearsal.plan import JobRun
from pixi_scaffold.rehearsal.policy import BY_THE_USER, INPUT_SIZE, OUTPUT_SIZE, POLICY
from pixi_scaffold.system import layout, program

_HINTS = {
    0: "give it a default, $$(NAME:default), or write a plain value",
    holds.EXECUTE: "correct the executable",
    holds.CHECKPOINT: "correct transfer_checkpoint_files, or let the job write them first",
    holds.MEMORY: "let it take less, or let --fix measure what it takes and write that",
    POLICY: "correct that expression, or let the job not come to it",
    BY_THE_USER: "rehearse what it does once it is released: --append hold=false",
    INPUT_SIZE: "transfer less, or raise max_transfer_input_mb",
    OUTPUT_SIZE: "transfer less, or raise max_transfer_output_mb",
}
_HINTS |= dict.fromkeys(
    holds.DURATIONS, "give it more time in the description, or let it do less in one run"
)
"""What to do about a hold, by its code."""


def failure(done: Rehearsed) -> tuple[str, str]:
    """Return why the job failed, and a hint."""
    outcome = done.outcome
    ended = outcome.attempts[-1].ended if outcome.attempts else ""
    if outcome.state == "removed":
        remove = done.plan.meaning.of("periodic_remove").text
        detail = f"HTCondor would remove the job: periodic_remove = {remove}"
        return detail, "correct that expression"
    if outcome.state == "stopped":
        full = "stopped: it had nearly filled the disk of this machine"
        why = {
            "timeout": ("it did not end within the time of --timeout", "give it more: --timeout"),
            "disk": (full, "put the sandbox on a larger disk: --scratch FOLDER"),
            "exited": (
                f"HTCondor starts it again and again ({ending(outcome.code, outcome.signal)}): "
                f"on_exit_remove = {done.plan.meaning.of('on_exit_remove').text}",
                "let that expression become true, such as after some NumJobStarts",
            ),
        }
        loop = "it saves checkpoint after checkpoint and does not end"
        return why.get(ended, (loop, "let it end: look at its log"))
    if outcome.hold is not None and outcome.hold.code not in (holds.OUTPUT, holds.INPUT):
        return hold_words(outcome), _HINTS.get(outcome.hold.code, "")
    detail = f"the job ended with {ending(outcome.code, outcome.signal)}"
    if done.plan.success:
        detail += f" (success_exit_code = {done.plan.success})"
    from pixi_scaffold.rehearsal.causes import remedy
    from pixi_scaffold.rehearsal.forgotten import forgotten

    lines = [line for tail in outcome.last_lines.values() for line in tail]
    hint = forgotten(done.plan, lines) or remedy(done.plan, lines)
    return detail + _retries(done), hint or _from_the_end(done)


def _from_the_end(done: Rehearsed) -> str:
    if done.outcome.code == 127:  # by which shells say that there is no such command
        return "a command is not there (see its name): transfer it, or name it by its whole path"
    killed = (done.outcome.signal, done.outcome.code)
    if signal.SIGKILL in killed or 128 + signal.SIGKILL in killed:
        return "something killed it, perhaps for its memory: let it take less, or ask for more"
    proc = f" --proc {done.plan.proc}" if done.plan.proc else ""
    path = shlex.quote(here(done.plan.job.path))
    return f"try its command where it runs: {program()} rehearse {path}{proc} --shell"


def _retries(done: Rehearsed) -> str:
    """Return how often HTCondor started a job that failed, in words."""
    meant = done.plan.meaning
    starts = {a.sandbox for a in done.outcome.attempts if a.ended == "exited"}
    until, retries = meant.of("retry_until").text, meant.of("max_retries").text
    if len(starts) > 1:
        why = f"max_retries = {retries or '2 by default'}"
        return f"; HTCondor started it {len(starts)} times ({why})"
    if until and retries != "0":
        return f"; HTCondor does not try it again (retry_until = {until})"
    return ""


def input_hint(done: Rehearsed) -> str:
    """Return what to do about an input that is not there."""
    hold = done.outcome.hold
    reason = hold.reason if hold is not None else ""
    plan = done.plan
    if ARCHIVE in reason:
        locks = (plan.iwd / LOCK, plan.iwd / layout.STARTER / LOCK)  # pack takes either
        first = "" if any(map(Path.is_file, locks)) else f"{program()} lock, and then "
        return f"make it: {first}{program()} pack"
    if LOCK in reason:
        return f"make it: {program()} lock; where that cannot be: {program()} check --rehearse"
    if done.image and done.image in reason:
        return _build(plan, done.image)
    return "correct transfer_input_files, or make the file"


def _build(plan: JobRun, image: str) -> str:
    path = plan.iwd / image
    recipes = (path.with_suffix(".def"), *plan.job.folder.glob(f"*/{path.stem}.def"))
    recipe = next((r for r in recipes if r.is_file()), None)
    if recipe is None:
        return f"build {image}, or correct container_image"
    return f"build it: apptainer build {shlex.quote(image)} {shlex.quote(here(recipe))}"


def ending(code: int | None, number: int | None) -> str:
    """Return how a process ended: its exit code, or the signal's name."""
    if number is None:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        name = signal.Signals(number).name
        return f"{name} (perhaps out of memory)" if name == "SIGKILL" else name
    return f"signal {number}"


def leaving(attempt: Attempt) -> str:
    """Return how a job left that was told to, and whether it did so before it could save."""
    words = ending(attempt.code, attempt.signal)
    if attempt.code == 128 + signal.SIGTERM or attempt.signal == signal.SIGTERM:
        words += ": SIGTERM came before the training could save"
    return words


def why_on_the_cpu(done: Rehearsed) -> str:
    """Return why a job did not use the GPU that it asks for and that is there, as far as known."""
    if ALLOW_CPU in done.delivery.env:
        return "the environment that is staged is for the CPU"
    if "processes" not in done.outcome.isolated and done.outcome.isolated:
        return "CUDA cannot write to its own /proc, which cannot be mounted here: --no-isolation"
    return (
        "no process of the job opened it: its PyTorch may be one for the CPU, or CUDA failed (its "
        f"log lies in {here(done.outcome.results)})"
    )


def hold_words(outcome: Outcome) -> str:
    """Return what HTCondor would say of a job that it put on hold."""
    hold = outcome.hold
    assert hold is not None  # noqa: S101  asked for only then
    return f"HTCondor would put the job on hold ({hold.code}, {hold.subcode}): {hold.reason}"


def here(path: Path) -> str:
    """Return a path as it is written from this folder, when that is shorter."""
    return min(os.path.relpath(path), str(path), key=len)
