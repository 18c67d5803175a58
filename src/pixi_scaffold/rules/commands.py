"""Rules on commands and their values."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping

from pixi_scaffold.job import (
    QuotingError,
    custom_resource,
    is_command,
    parse_runtime,
    parse_size,
    specs,
    split_arguments,
    split_environment,
)
from pixi_scaffold.rules.expressions import is_expression
from pixi_scaffold.rules.finding import (
    Edit,
    Found,
    Severity,
    at,
    commented,
    line_of,
    replaced,
    rule,
    short,
)
from pixi_scaffold.rules.subject import Subject, used_macros

_MIB, _KIB = 1 << 20, 1 << 10
_SIZES = {
    "request_memory": _MIB, "request_disk": _KIB, "gpus_minimum_memory": _MIB,
    "retry_request_memory": _MIB, "retry_request_memory_max": _MIB, "image_size": _KIB,
    "disk_usage": _KIB,
}  # fmt: skip
_INTEGERS: Mapping[str, tuple[int, int]] = {
    "request_cpus": (1, 10_000), "request_gpus": (0, 1_000), "max_retries": (0, 100_000),
    "checkpoint_exit_code": (0, 255), "success_exit_code": (0, 255),
    "priority": (-(1 << 31), 1 << 31),
    "machine_count": (1, 1 << 20), "kill_sig_timeout": (0, 1 << 31), "max_idle": (0, 1 << 31),
    "max_materialize": (0, 1 << 31),
}  # fmt: skip
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "should_transfer_files": (
        "yes", "no", "if_needed", "true", "false", "always", "never", "auto", "null",
    ),
    "when_to_transfer_output": (
        "on_exit", "on_exit_or_evict", "on_success", "always", "onexit", "onsuccess", "none",
        "null",
    ),
    "universe": (
        "vanilla", "container", "docker", "local", "scheduler", "grid", "java", "vm", "parallel",
        "mpi", "5", "7", "9", "10", "11", "12", "13",
    ),
    "notification": ("always", "complete", "error", "never"),
}  # fmt: skip
_FLAG_NAMES = """
transfer_executable transfer_input transfer_output transfer_error stream_input stream_output
stream_error hold nice_user run_as_owner log_xml encrypt_execute_directory transfer_container
preserve_relative_paths want_io_proxy skip_filechecks
"""
_FLAGS = frozenset(_FLAG_NAMES.split())
_MOST = 100
"""Unknown commands in one file that are looked up; more is another kind of file."""
_TRUTHS = frozenset({"true", "false", "yes", "no", "t", "f", "1", "0"})
_FREE_TEXT = frozenset({"arguments", "arguments2", "environment", "environment2", "description"})


@rule("PS101")
def set_twice(subject: Subject) -> Iterator[Found]:
    """A command is set twice.

    Why: the last line wins, without a word. The classic is a `requirements` line with the driver
    limit that a later `requirements` line throws away: the job then starts on machines where it
    cannot run.
    Fix: keep one line; join conditions with `&&`, or add to a value with `name = $(name) more`.
    Source: HTCondor keeps a macro table (config.cpp, insert_macro); a dry run says nothing.
    """
    main = subject.description.path
    for earlier, later in subject.description.lost:
        if earlier.file != main and later.file == main:
            continue  # a default of an included file
        known = is_command(earlier.name)
        line = f"line {earlier.line}"
        where = line if earlier.file == later.file else f"{line} of {earlier.file.name}"
        if earlier.value == later.value:
            yield at(
                later,
                f"{later.spelled} is set on {where} already, to the same value",
                "remove one of the two",
                (Edit(later.file, later.line, later.last),),
                Severity.WARNING,
            )
        elif known or earlier.name in used_macros(subject):
            yield at(
                later,
                f"{later.spelled} is set on {where} already; that value "
                f"({short(earlier.value)}) is lost",
                "keep one line; conditions are joined with &&",
                severity=None if known else Severity.WARNING,
            )


@rule("PS102")
def unknown_command(subject: Subject) -> Iterator[Found]:
    """A command that HTCondor does not know.

    Why: condor_submit takes it for a macro of your own, and at most warns. What it was meant to
    ask for (a GPU, memory) is not asked for.
    Fix: correct the name. For an attribute of your own write `+Name = value`; a macro is fine as
    long as something uses it.
    Source: submit_utils.h of HTCondor 25 (SUBMIT_KEY_*).
    """
    used = used_macros(subject)
    last = {c.name: c for c in subject.description.commands}
    unknown = [
        c
        for name, c in last.items()
        if not is_command(name) and name not in used and c.spelled.lower() not in used
    ]
    for command in unknown[:_MOST]:
        name = command.name
        resource = custom_resource(name) and name not in _REFUSED
        near = _near_request(name) if custom_resource(name) else _near(name)
        if near:
            edits: tuple[Edit, ...] = ()
            if near not in subject.job.commands and command.line == command.last:
                line = line_of(subject.description, command)
                edits = replaced(command, line.replace(command.spelled, near, 1))
            what = f"HTCondor has no command {command.spelled!r}; condor_submit ignores this line"
            if resource:
                what = f"HTCondor takes {command.spelled!r} for a resource that a pool has added"
            yield at(command, what, f"did you mean {near}?", edits)
        elif not resource:
            yield at(
                command,
                f"{command.spelled!r} is no command of HTCondor, and nothing uses it as a macro",
                "remove the line, or write +NAME for an attribute of the job",
                severity=Severity.WARNING,
            )


_REFUSED = frozenset({"request_cpu", "request_gpu"})
"""The only misspelt requests that condor_submit warns of (a dry run of 25.14)."""


def _near(name: str) -> str:
    """Return the command that a name is nearly; empty for none."""
    found = difflib.get_close_matches(name, specs(), n=1, cutoff=0.75 if "_" in name else 0.82)
    return found[0] if found else ""


def _near_request(name: str) -> str:
    """Return the request that a name is nearly; empty for what a pool may really have added.

    Every other `request_...` asks for a custom resource: TPUs, NPUs, FPGAs, licenses.
    """
    if name in _REFUSED:
        return f"{name}s"
    if name.endswith(("pu", "pus")):
        return ""
    requests = [known for known in specs() if known.startswith("request_")]
    found = difflib.get_close_matches(name, requests, n=1, cutoff=0.9)
    return found[0] if found else ""


@rule("PS103")
def bad_size(subject: Subject) -> Iterator[Found]:
    """A size that HTCondor cannot read.

    Why: a size is a number and K, M, G or T, with or without a B. Anything else is taken for an
    expression; with words in it the expression is undefined, and no machine ever matches.
    Fix: write `4GB` (units of 1024; GiB is not known).
    Source: metric_units.cpp, parse_int64_bytes.
    """
    for name, unit in _SIZES.items():
        command = subject.job.command(name)
        if command is None:
            continue
        expanded = subject.job.expand(command.value)
        if expanded.unknown or expanded.undefined or commented(command):
            continue
        whole = expanded.text
        if not whole.startswith('"') and "(" in whole and is_expression(whole, subject):
            continue  # `ifthenelse(MemoryUsage ...)`, an idiom for jobs that grow
        listed = name.startswith(("request", "retry")) and not re.search(r"\d,\d{3}\D*$", whole)
        parts = whole.split(",") if listed else [whole]
        for text in map(str.strip, parts):
            size = parse_size(text, unit)
            if size is not None and size > 0:
                continue
            if size is None and not text.startswith('"') and is_expression(text, subject):
                continue
            better = _better_size(text.strip('"').replace(",", ""))
            edits: tuple[Edit, ...] = ()
            if better and command.value.strip() == text and command.line == command.last:
                line = line_of(subject.description, command)
                edits = replaced(command, line.replace(text, better))
            yield at(
                command,
                f"{command.spelled} = {text} is no size",
                f"write {better}" if better else "write a number and a unit, such as 4GB",
                edits,
            )


@rule("PS104", Severity.WARNING)
def size_without_unit(subject: Subject) -> Iterator[Found]:
    """A size without a unit that is very small.

    Why: request_memory counts MiB, request_disk KiB. `request_memory = 4` asks for 4 MiB, and the
    job is held as soon as it starts.
    Fix: write the unit: `4GB`.
    Source: the condor_submit manual, request_memory and request_disk.
    """
    for name, unit in (("request_memory", _MIB), ("request_disk", _KIB)):
        command = subject.job.command(name)
        text = (subject.job.text(name) or "").strip()
        if command is not None and re.fullmatch(r"\d+", text) and 0 < int(text) * unit < 100 * _MIB:
            words = "MiB" if unit == _MIB else "KiB"
            yield at(
                command, f"{command.spelled} = {text} asks for {text} {words}", f"write {text}GB"
            )


@rule("PS113")
def bad_number(subject: Subject) -> Iterator[Found]:
    """A value that is not the number it must be.

    Why: condor_submit refuses it, or takes it for an expression that is never true.
    Fix: write a number in the range.
    Source: the condor_submit manual; `gpus_minimum_capability = seven` passes a dry run.
    """
    for name, (low, high) in _INTEGERS.items():
        command = subject.job.command(name)
        text = subject.job.text(name) or ""
        if command is None or commented(command) or "$" in text or text.lower() == "undefined":
            continue
        if re.fullmatch(r"[-+]?\d{1,18}", text):
            if not low <= int(text) <= high:
                yield at(command, f"{command.spelled} = {text} is out of range", f"at least {low}")
        elif name in ("request_cpus", "request_gpus", "max_retries") and is_expression(
            text, subject
        ):
            continue
        elif re.fullmatch(r"[\d\s()+*/%-]+", text) and is_expression(text, subject):
            continue  # condor_submit works it out
        else:
            yield at(command, f"{command.spelled} = {text} is no number", "write a whole number")
    for name, readable in (
        ("gpus_minimum_capability", lambda t: re.fullmatch(r"[12]?\d(\.\d)?", t)),
        ("gpus_maximum_capability", lambda t: re.fullmatch(r"[12]?\d(\.\d)?", t)),
        ("gpus_minimum_runtime", parse_runtime),
    ):
        command, text = subject.job.command(name), subject.job.text(name) or ""
        if command is None or commented(command) or "$" in text:
            continue
        if not readable(text):
            yield at(command, f"{command.spelled} = {text} is no version", "write it as 8.0")


@rule("PS114")
def bad_choice(subject: Subject) -> Iterator[Found]:
    """A value that is not one of those allowed.

    Why: condor_submit refuses it, or takes the default in its place.
    Fix: use one of the values that the message lists.
    Source: the condor_submit manual.
    """
    for name, allowed in _CHOICES.items():
        command, text = subject.job.command(name), (subject.job.text(name) or "").lower()
        if command is None or commented(command) or "$" in text:
            continue
        if text not in allowed:
            words = [word for word in allowed if not word.isdecimal()]
            near = difflib.get_close_matches(text, words, n=1)
            fix = f"did you mean {near[0].upper()}?" if near else f"one of: {', '.join(words)}"
            yield at(command, f"{command.spelled} = {text} is not known", fix)
    for name in sorted(_FLAGS):
        command, text = subject.job.command(name), (subject.job.text(name) or "").lower()
        if command is None or commented(command) or "$" in text:
            continue
        if text not in _TRUTHS:
            yield at(
                command, f"{command.spelled} = {text} is neither true nor false", "true or false"
            )


@rule("PS115")
def bad_quoting(subject: Subject) -> Iterator[Found]:
    """Arguments or environment that HTCondor cannot take apart.

    Why: condor_submit refuses them, or the job gets other arguments than were meant.
    Fix: put the whole value into double quotes; inside, single quotes group words and a double
    quote is doubled.
    Source: condor_arglist.cpp, env.cpp.
    """
    for name, split in (("arguments", split_arguments), ("environment", split_environment)):
        command = subject.job.command(name)
        if command is None:
            continue
        try:
            split(subject.job.text(name) or "")
        except QuotingError as error:
            yield at(command, f"{command.spelled}: {error}", "write it as \"A=1 B='two words'\"")


@rule("PS117")
def gpu_limits_alone(subject: Subject) -> Iterator[Found]:
    """Limits for a GPU without a request for one.

    Why: gpus_minimum_* and require_gpus count only together with request_gpus; alone they are
    ignored, and the job runs without a GPU.
    Fix: add `request_gpus = 1`.
    Source: submit_utils.cpp, SetRequestGpus; condor_submit gives a warning at most.
    """
    if subject.job.command("request_gpus") is not None:
        return
    command = subject.where(
        "gpus_minimum_capability", "gpus_minimum_memory", "gpus_minimum_runtime",
        "gpus_maximum_capability", "require_gpus",
    )  # fmt: skip
    if command is not None:
        yield at(
            command, f"{command.spelled} without request_gpus is ignored", "add: request_gpus = 1"
        )


@rule("PS119")
def comment_in_value(subject: Subject) -> Iterator[Found]:
    """A comment behind a value.

    Why: submit descriptions have comments only on lines of their own. `request_gpus = 1 # one`
    asks for `1 # one`.
    Fix: move the comment to the line above.
    Source: config.cpp, Parse_macros.
    """
    for command in subject.job.commands.values():
        found = re.search(r"\s#", command.value)
        if found is None or command.name in _FREE_TEXT or '"' in command.value[: found.start()]:
            continue
        comment = command.value[found.start() :].strip()
        edits: tuple[Edit, ...] = ()
        line = line_of(subject.description, command)
        if command.line == command.last and comment in line:  # it may come from an earlier value
            indent = line[: len(line) - len(line.lstrip())]
            kept = line[: line.rindex(comment)].rstrip()
            edits = (Edit(command.file, command.line, command.line, (indent + comment, kept)),)
        yield at(
            command,
            f"HTCondor has no comments behind a value: {command.spelled} is now all of it, "
            f"{comment!r} too",
            "move the comment to the line above",
            edits,
        )


_UNIT = r"i?b|ig|igs|igabytes?|egs?|egabytes?"


def _better_size(text: str) -> str:
    """Return what `30G B` or `4 GiB` was meant to be; empty when it cannot be told."""
    pattern = rf"(\d+(?:\.\d+)?)\s*([kmgt])\s*({_UNIT})?"
    found = re.fullmatch(pattern, text, re.IGNORECASE)
    return f"{found[1]}{found[2].upper()}B" if found else ""
