"""Rules on what pools do not all have or allow, and on attributes of their own."""

import difflib
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from pixi_scaffold.job import specs
from pixi_scaffold.rules.finding import Found, Severity, at, replaced, rule, short
from pixi_scaffold.rules.subject import Subject
from pixi_scaffold.rules.texts import table
from pixi_scaffold.rules.trouble import trouble

OLD_GPU = re.compile(
    r"(?<![\w.])(?:TARGET\.|MY\.)?(CUDA\d*(Capability|DriverVersion|RuntimeVersion"
    r"|MaxSupportedVersion|GlobalMemoryMb|DeviceName|ClockMhz|ComputeUnits|CoresPerCU|ECCEnabled))\b",
    re.IGNORECASE,
)


@rule("PS127", Severity.WARNING)
def old_gpu_attribute(subject: Subject) -> Iterator[Found]:
    """GPU attributes that slots no longer have."""
    renamed = table("slots")["renamed"]
    for command, text in subject.said("requirements", "rank"):
        for matched in OLD_GPU.finditer(text):
            if matched[1].lower() in subject.attributes:
                continue  # the slots that were given have it
            new, better = renamed.get(matched[2].lower(), (f"GPUs_{matched[2]}", ""))
            message = f"{command.spelled} names {matched[1]}, which HTCondor 10 renamed"
            fix = f"write {new}" + (f", or better: {better}" if better else "")
            yield at(command, message, fix, about=matched[1])


@rule("PS125", Severity.WARNING)
def whole_environment(subject: Subject) -> Iterator[Found]:
    """The whole environment of the access point goes along."""
    command = subject.job.command("getenv")
    if command is not None and subject.meaning.of("getenv").text.lower() in ("true", "1"):
        allowed = None if subject.site is None else subject.site.getenv
        if allowed:
            return
        who = "some pools refuse it" if subject.site is None or allowed is None else "refused there"
        message = f"{command.spelled} = {command.value.strip()}: {who}"
        severity = None if allowed is None else Severity.ERROR
        yield at(command, message, "name the variables: getenv = NAME, PREFIX_*", severity=severity)


_COUNTS = re.compile(
    r"Num(?:JobStarts|ShadowStarts|Holds|HoldsByReason|SystemHolds|JobCompletions|JobMatches|Vacates\w*"
    r"|Restarts|JobReconnects|ShadowExceptions)|JobRunCount|QDate|JobCurrentStartDate|JobStartDate"
    r"|\w*WallClock\w*|MemoryUsage|MemoryProvisioned|RequestMemory|ProvisionedMemory",
    re.IGNORECASE,
)
"""What tells a job of the tenth start from one of the first."""


@rule("PS133", Severity.WARNING)
def tried_without_end(subject: Subject) -> Iterator[Found]:
    """A job that is tried again without end."""
    meant = subject.meaning
    release, remove = meant.of("periodic_release"), meant.of("on_exit_remove")
    if release.command is not None and _goes_on(release.text, stops="false"):
        message = f"{release.command.spelled} = {short(release.text)} counts nothing: no end"
        yield at(release.command, message, "count the starts: NumJobStarts < 3 && ...")
    elif release.command is not None and _OVER_MEMORY.search(release.text):
        grows = _COUNTS.search(meant.of("request_memory").text) or "Memory" in release.text
        if not grows and not meant.of("retry_request_memory").said:
            message = "a job over its memory is released with no more of it, and held again"
            yield at(release.command, message, "ask for more then: retry_request_memory = 4GB")
    bounded = any(meant.of(name).said for name in ("max_retries", "retry_until", "on_exit_hold"))
    if remove.command is not None and not bounded and _goes_on(remove.text, stops="true"):
        message = f"{remove.command.spelled} = {short(remove.text)}: a job that fails starts again"
        yield at(remove.command, f"{message}, without end", "write max_retries = 3 in its place")


_OVER_MEMORY = re.compile(r"HoldReasonCode\s*=[=?]=?\s*34\b", re.IGNORECASE)


def _goes_on(text: str, stops: str) -> bool:
    """Whether an expression gives a job another try each time, as far as can be seen."""
    bare = text.lower().strip("() ")
    ended = bare in ("", stops, str(int(stops == "true")))
    return not ended and not _COUNTS.search(text)


@rule("PS141", Severity.WARNING)
def waits_for_somebody(subject: Subject) -> Iterator[Found]:
    """A job that waits for somebody, or is held or removed whatever it does."""
    yield from trouble(subject, "PS141")
    retries, text = subject.job.command("max_retries"), subject.meaning.of("on_exit_hold").text
    always = text.lower() in ("", "true", "1") or _COUNTS.search(text)
    if retries is not None and not always:
        message = f"on_exit_hold holds the job before {retries.spelled} tries it again"
        yield at(retries, message, "let on_exit_hold count: NumJobCompletions >= 3 && ...")


@rule("PS142", Severity.NOTE)
def nothing_is_said(subject: Subject) -> Iterator[Found]:
    """Nothing tells how the job went."""
    command = subject.job.command("executable")
    told = subject.where("log", "output", "error")
    if command is not None and not subject.earlier and told is None:
        message = "no log, output and error: nobody sees how it went"
        yield at(command, message, "add: error = job.$(Cluster).$(Process).err, and the others")


@rule("PS134", Severity.WARNING)
def variable_of_a_shell(subject: Subject) -> Iterator[Found]:
    """A shell's variable where no shell reads it."""
    shell = re.search(r"(?:^|/)(?:ba|da|z|k)?sh$", subject.meaning.executable.value)
    names = _READ_BY_HTCONDOR if shell else (*_READ_BY_HTCONDOR, "arguments")
    for command, _ in subject.said(*names):
        if matched := _OF_A_SHELL.search(command.value):
            message = f"{command.spelled}: {matched[0]} is not expanded, because no shell reads it"
            fix = "write $(NAME) for a macro, $ENV(NAME) for a variable, or set it in the script"
            yield at(command, message, fix, about=matched[0])


_OF_A_SHELL = re.compile(
    r"(?<!\$)\$(?:\{\w+\}?|[A-Za-z_]\w*\b(?!\()|[\d@*](?!\w)|\(\w+ [^)]*\)|\(\([^)]*\)\))"
)
_READ_BY_HTCONDOR = (
    "environment", "transfer_input_files", "executable", "initialdir", "log", "output", "error",
    "input", "transfer_output_files", "transfer_output_remaps", "container_image", "x509userproxy",
)  # fmt: skip


@rule("PS135", Severity.WARNING)
def one_file_for_two(subject: Subject) -> Iterator[Found]:
    """The log and an output are one file."""
    log = subject.meaning.of("log").text
    for command, text in subject.said("output", "error"):
        if log and text == log:
            message = f"{command.spelled} and log are one file: the output replaces the log"
            yield at(command, message, "give each a name of its own")


_PLAIN = re.compile(r'"?[\w .:/-]*"?')
"""Values that are looked at; what is worked out is left alone."""


@lru_cache(maxsize=1)
def _attributes() -> dict[str, dict[str, Any]]:
    return {name.lower(): entry for name, entry in table("attributes").items()}


@rule("PS139", Severity.WARNING)
def attribute_without_effect(subject: Subject) -> Iterator[Found]:
    """An attribute that nobody reads, or with a value that its site does not take."""
    for command in subject.job.commands.values():
        if not command.name.startswith("my."):
            continue
        name, text = command.name.removeprefix("my."), subject.meaning.of(command.name).text
        if name in specs() and "_" in name and specs()[name].ad.lower() != name:
            message = f"{command.spelled} is only an attribute; condor_submit does not read it"
            bare = re.sub(r"^(?:\+|MY\.)", "", command.spelled, flags=re.IGNORECASE)
            edits = replaced(subject, command, command.spelled, bare)
            edits = () if name in subject.job.commands else edits
            yield at(command, message, f"write {name} = ..., without the plus", edits)
        elif name in _attributes() and _PLAIN.fullmatch(text) and (fix := _better(name, text)):
            message = f"{command.spelled} = {text}: sites that read it do not take that value"
            yield at(command, message, fix)


def _better(name: str, text: str) -> str:
    """Return what an attribute takes where a value is not one of them; empty where it is."""
    entry = _attributes()[name]
    if "words" in entry:
        word = text.strip('"').lower()
        if word in entry["words"]:
            return ""
        near = difflib.get_close_matches(word, entry["words"], n=1)
        return f'did you mean "{near[0]}"?' if near else f"one of: {', '.join(entry['words'])}"
    pattern, fix = table("slots")["kinds"][entry["kind"]]
    if re.fullmatch(r"[A-Za-z_]\w*", text) and entry["kind"] != "boolean":
        return ""  # PS118 speaks of a word without quotes
    return "" if re.fullmatch(pattern, text, re.IGNORECASE) else f"write {fix}"
