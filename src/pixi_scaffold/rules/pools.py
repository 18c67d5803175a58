"""Rules on what pools do not all have or allow: old attributes, getenv, small defaults."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pixi_scaffold.rules.finding import Found, Severity, at, rule
from pixi_scaffold.rules.subject import Subject

_NEW_NAMES = {
    "capability": ("GPUs_Capability", "gpus_minimum_capability = 7.5"),
    "driverversion": ("GPUs_DriverVersion", "gpus_minimum_runtime = 12.0"),
    "runtimeversion": ("GPUs_DriverVersion", "gpus_minimum_runtime = 12.0"),
    "maxsupportedversion": ("GPUs_MaxSupportedVersion", "gpus_minimum_runtime = 12.0"),
    "globalmemorymb": ("GPUs_GlobalMemoryMb", "gpus_minimum_memory = 8GB"),
    "devicename": ("GPUs_DeviceName", 'require_gpus = DeviceName == "..."'),
}
OLD_GPU = re.compile(
    r"(?<![\w.])(?:TARGET\.|MY\.)?(CUDA\d*(Capability|DriverVersion|RuntimeVersion"
    r"|MaxSupportedVersion|GlobalMemoryMb|DeviceName|ClockMhz|ComputeUnits|CoresPerCU|ECCEnabled))\b",
    re.IGNORECASE,
)


@rule("PS127", Severity.WARNING)
def old_gpu_attribute(subject: Subject) -> Iterator[Found]:
    """GPU attributes that slots no longer have.

    Why: CUDACapability, CUDADriverVersion and their kin are in no slot of HTCondor 10 and newer,
    unless a pool adds them. A condition on them is never true: the job stays idle forever.
    Fix: gpus_minimum_capability, gpus_minimum_memory, gpus_minimum_runtime; in requirements the
    names begin with `GPUs_`.
    Source: the HTCondor manual, GPUs; condor_gpu_discovery.
    Seen: HTCondor 23.9.6 and 25.14.1, on a pool: no slot matches.
    """
    for name in ("requirements", "rank"):
        command, text = subject.job.command(name), subject.meaning.of(name).text
        if command is None:
            continue
        for matched in OLD_GPU.finditer(text):
            if matched[1].lower() in subject.attributes:
                continue  # the slots that were given have it
            new, better = _NEW_NAMES.get(matched[2].lower(), (f"GPUs_{matched[2]}", ""))
            message = (
                f"{command.spelled} names {matched[1]}, which slots have not had since HTCondor 10"
            )
            fix = f"write {new}" + (f", or better: {better}" if better else "")
            yield at(command, message, fix, about=matched[1])


@rule("PS123", Severity.WARNING)
def semicolon_in_environment(subject: Subject) -> Iterator[Found]:
    """A semicolon inside a quoted environment.

    Why: in double quotes the variables part at spaces. A semicolon parts them only in the old
    form, without the quotes; here it becomes a part of the value, with all that follows it.
    Fix: `environment = "A=1 B=2"`.
    Source: the condor_submit manual, environment; env.cpp.
    Seen: HTCondor 23.9.6 and 25.14.1, dry run.
    """
    command, text = subject.job.command("environment"), subject.meaning.of("environment").text
    if command is None or not text.startswith('"'):
        return
    matched = re.search(r"[^\s;'\"]*;\s*[A-Za-z_]\w*=", re.sub(r"'[^']*'", "''", text))
    if matched is not None:
        message = f"{command.spelled}: the semicolon does not part variables inside double quotes"
        yield at(command, message, "put a space in its place", about=matched[0])


@rule("PS124", Severity.WARNING)
def gpu_without_memory(subject: Subject) -> Iterator[Found]:
    """No memory is asked for.

    Why: where request_memory is not set the pool's default counts, which is 128 MB where nobody
    changed it. Importing PyTorch takes several times as much, and the job is held or killed.
    Fix: request_memory = 8GB.
    Source: JOB_DEFAULT_REQUESTMEMORY in the HTCondor manual.
    Seen: HTCondor 23.9.6 and 25.14.1, dry run.
    """
    gpus, program = subject.job.command("request_gpus"), subject.job.command("executable")
    asked = any(name.startswith(("request_mem", "requestmem")) for name in subject.job.commands)
    command = gpus if subject.gpus else program
    if command is not None and not asked:
        message = f"{command.spelled} without request_memory: HTCondor's default is 128 MB"
        severity = None if subject.gpus else Severity.NOTE
        fix = f"add: request_memory = {8 if subject.gpus else 1}GB"
        yield at(command, message, fix, severity=severity)


@rule("PS125", Severity.WARNING)
def whole_environment(subject: Subject) -> Iterator[Found]:
    """The whole environment of the access point goes along.

    Why: some pools refuse `getenv = true` (SUBMIT_ALLOW_GETENV = false, as at LIGO). Elsewhere
    PATH, PYTHONPATH and LD_LIBRARY_PATH of the access point point to what a worker does not have.
    Fix: name what the job needs: `getenv = HTTP_PROXY, WANDB_*`, or set it with `environment`.
    Source: the condor_submit manual, getenv; SUBMIT_ALLOW_GETENV.
    Seen: HTCondor 23.9.6 and 25.14.1, dry run with that setting.
    """
    command = subject.job.command("getenv")
    if command is not None and subject.meaning.of("getenv").text.lower() in ("true", "1"):
        allowed = None if subject.site is None else subject.site.getenv
        if allowed:
            return
        who = "some pools refuse it" if subject.site is None or allowed is None else "refused there"
        message = f"{command.spelled} = {command.value.strip()}: {who}"
        severity = None if allowed is None else Severity.ERROR
        yield at(command, message, "name the variables: getenv = NAME, PREFIX_*", severity=severity)


_SECRET_NAMES = re.compile(
    r"([A-Za-z0-9_]*(?:API_?KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|ACCESS_?KEY)[A-Za-z0-9_]*)"
    r"\s*=\s*([^\s\"';,]{8,})",
    re.IGNORECASE,
)
_SECRETS = re.compile(
    r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}|hf_[A-Za-z0-9]{25,}|sk-[\w-]{20,}"
    r"|AKIA[0-9A-Z]{16}|glpat-[\w-]{18,}|xox[abp]-[\w-]{10,}|eyJ[\w-]{10,}\.eyJ[\w-]{10,})"
)


@rule("PS126", Severity.WARNING)
def secret_in_the_description(subject: Subject) -> Iterator[Found]:
    """A secret in the description.

    Why: everybody on the access point reads a job's environment and arguments with condor_q, they
    stay in the history, and the file is in the repository.
    Fix: put it into a file that only you may read and git ignores, and transfer that file; or
    `getenv = NAME` hides it at least from the repository. Then make a new one: this one is known.
    Source: the HTCondor manual, condor_q -long.
    Seen: HTCondor 23.9.6 and 25.14.1, on a pool: condor_q shows it.
    """
    for name in ("environment", "environment2", "arguments", "arguments2"):
        command, text = subject.job.command(name), subject.meaning.of(name).text
        if command is None:
            continue
        named = [m[1] for m in _SECRET_NAMES.finditer(text) if not re.search(r"[$<>/]", m[2])]
        if named or _SECRETS.search(text):
            message = f"{command.spelled} holds a secret" + (f": {named[0]}" if named else "")
            fix = "transfer a file that only you may read, and make a new secret"
            yield at(command, message, fix, about=named[0] if named else "")


@rule("PS133", Severity.WARNING)
def held_without_end(subject: Subject) -> Iterator[Found]:
    """A job that is held and released again without end.

    Why: `periodic_release = true` releases every hold at once, also one of a missing file or of the
    job's own on_exit_hold: it starts again and again, and nobody sees why it failed.
    Fix: count: `periodic_release = NumJobStarts < 3`, or max_retries in place of both.
    Source: the condor_submit manual, periodic_release.
    Seen: not tried on a pool of HTCondor 23.9 or 25.14; read in the manual.
    """
    command, release = (
        subject.job.command("periodic_release"),
        subject.meaning.of("periodic_release"),
    )
    if command is not None and release.text.lower().strip("() ") in ("true", "1"):
        message = f"{command.spelled} = {release.text} releases every hold, without end"
        yield at(command, message, "count the starts: NumJobStarts < 3")


@rule("PS134", Severity.WARNING)
def variable_of_a_shell(subject: Subject) -> Iterator[Found]:
    """A shell's variable where no shell reads it.

    Why: HTCondor expands `$(NAME)` and `$ENV(NAME)`; `$PATH` or `${HOME}` reaches the job as it is,
    and the job's own value is lost.
    Fix: $ENV(NAME) for the value on the access point; for that of the worker set it in the script.
    Source: the condor_submit manual, macros and environment.
    Seen: HTCondor 25.14.1, on a pool.
    """
    shell = re.search(r"(?:^|/)(?:ba|da|z|k)?sh$", subject.meaning.executable.value)
    for name in ("environment",) if shell else ("environment", "arguments"):
        command = subject.job.command(name)
        matched = (
            None
            if command is None
            else re.search(r"(?<!\$)\$\{?[A-Za-z_]\w*\b(?![(:])", command.value)
        )
        if command is not None and matched is not None:
            message = f"{command.spelled}: {matched[0]} is not expanded, because no shell reads it"
            fix = "write $ENV(NAME), or set it in the script"
            yield at(command, message, fix, about=matched[0])


@rule("PS135", Severity.WARNING)
def one_file_for_two(subject: Subject) -> Iterator[Found]:
    """The log and an output are one file.

    Why: the job's output replaces the log that HTCondor writes: condor_wait, DAGMan and watchers
    then wait without end.
    Fix: give each a name of its own.
    Source: the condor_submit manual, log.
    Seen: not tried on a pool of HTCondor 23.9 or 25.14; read in the manual.
    """
    log = subject.meaning.of("log").text
    for name in ("output", "error"):
        command = subject.job.command(name)
        if command is not None and log and subject.meaning.of(name).text == log:
            message = f"{command.spelled} and log are one file: the output replaces the log"
            yield at(command, message, "give each a name of its own")
