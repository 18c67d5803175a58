"""The job ad that condor_submit would make of a job's meaning.

Source: submit_utils.cpp, HTCondor 25; the tests compare with a dry run and with the ads that
25.14.1 made of 1,718 descriptions.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from pixi_scaffold.job.classad import Operation, attributes, literal, parse, unparse
from pixi_scaffold.job.commands import specs
from pixi_scaffold.job.evaluate import as_integer
from pixi_scaffold.job.meaning import Meaning
from pixi_scaffold.job.requirements import Clause, gpu_clauses, slot_clauses
from pixi_scaffold.job.values import normal
from pixi_scaffold.job.words import join_words

_UNIVERSES = {
    "vanilla": 5, "container": 5, "docker": 5, "scheduler": 7, "grid": 9, "java": 10,
    "parallel": 11, "local": 12, "vm": 13,
}  # fmt: skip
_RETRIES = 2
"""DEFAULT_JOB_MAX_RETRIES."""


class JobAd(NamedTuple):
    """A job's attributes, name to expression, and its conditions on a slot."""

    attributes: dict[str, str]
    clauses: tuple[Clause, ...]

    @property
    def requirements(self) -> str:
        """All conditions on the slot as one expression."""
        return " && ".join(f"({c.text})" for c in self.clauses if not c.gpu) or "true"

    @property
    def text(self) -> str:
        """The ad in the long form, one attribute a line."""
        lines = [f"{name} = {value}" for name, value in self.attributes.items()]
        return "\n".join([*lines, f"Requirements = {self.requirements}"])


def job_ad(meant: Meaning) -> JobAd:
    """Return the ad of a job."""
    gpu, attributes = tuple(gpu_clauses(meant)), dict(_attributes(meant))
    if gpu:
        attributes["RequireGPUs"] = " && ".join(c.text for c in gpu)
    return JobAd(attributes, (*slot_clauses(meant), *gpu))


def _attributes(job: Meaning) -> Iterator[tuple[str, str]]:
    yield "MyType", '"Job"'
    yield "ClusterId", "1"
    yield "ProcId", str(job.proc)
    yield "JobUniverse", str(_UNIVERSES.get(job.universe.value, 5))
    yield "Owner", '"user"'
    yield "FileSystemDomain", '"this-machine.invalid"'
    yield from _simple(job)
    yield from _requests(job)
    yield from _program(job)
    yield from _standard_files(job)
    yield from _transfer(job)
    yield from _image(job)
    yield from _end(job)
    yield from _accounting(job)
    yield from _times(job)
    for name, field in job.attributes.items():
        yield name, field.ad or "undefined"


def _simple(job: Meaning) -> Iterator[tuple[str, str]]:
    gpus = job.requests.gpus.value is not None
    for name, field in job.fields.items():
        spec = specs().get(name)
        if spec is None or spec.several or not (spec.ad and field.said and field.ad):
            continue
        if spec.name.startswith("vm_") and job.universe.value != "vm":
            continue
        if spec.name.startswith("gpus_") and not gpus:
            continue
        yield spec.ad, field.ad
    kill = job.of("kill_sig")
    if job.universe.value not in ("vanilla", "container", "docker") and not kill.said:
        yield "KillSig", '"SIGTERM"'


def _requests(job: Meaning) -> Iterator[tuple[str, str]]:
    requests = job.requests
    yield "RequestCpus", requests.cpus.ad or "1"
    if requests.gpus.said and requests.gpus.value is not None:
        yield "RequestGPUs", requests.gpus.ad
    disk = "MAX({ 1024,(TransferInputSizeMB + 1) * 1.25 }) * 1024"
    for name, field, default in (("Memory", requests.memory, "128"), ("Disk", requests.disk, disk)):
        if not field.said or field.value is not None:
            yield f"Request{name}", field.ad if field.said else default
    yield from ((f"Request{name}", one.ad) for name, one in requests.custom.items() if one.said)


def _program(job: Meaning) -> Iterator[tuple[str, str]]:
    named = job.executable.said and not job.shell.said
    if not named or not job.transfers_executable:
        yield "TransferExecutable", "false"
    text = job.arguments.text
    if job.shell.said:
        yield "Arguments", literal(join_words(["-c", job.shell.value]))
    elif text and not text.startswith('"'):
        yield "Args", literal(" ".join(job.arguments.value))
    else:
        yield "Arguments", literal(join_words(job.arguments.value))
    yield from _environment(job)


def _environment(job: Meaning) -> Iterator[tuple[str, str]]:
    given = job.environment
    variables = job.imported() | dict(given.value)
    spelled = given.command.spelled.lower() if given.command else ""
    if spelled == "env" and given.said and not given.text.startswith('"'):
        yield "Env", literal(";".join(f"{k}={v}" for k, v in variables.items()))
        yield "EnvDelim", '";"'
    else:
        words = [f"{name}={value}" for name, value in sorted(variables.items())]
        yield "Environment", literal(join_words(words))


def _standard_files(job: Meaning) -> Iterator[tuple[str, str]]:
    """Yield In, Out and Err, and whether they are transferred and streamed."""
    for name, ad, transfers, streams in (
        ("input", "In", "TransferIn", "StreamIn"),
        ("output", "Out", "TransferOut", "StreamOut"),
        ("error", "Err", "TransferErr", "StreamErr"),
    ):
        text = job.of(name).text or "/dev/null"
        yield ad, literal(text)
        if text == "/dev/null" or job.of(f"transfer_{name}").value is False:
            yield transfers, "false"
        else:
            yield streams, literal(job.of(f"stream_{name}").value is True)


def _transfer(job: Meaning) -> Iterator[tuple[str, str]]:
    yield "ShouldTransferFiles", literal(job.transfers.value.upper())
    if job.transfers.value == "no":
        return
    yield "WhenToTransferOutput", literal(job.when.value.upper())
    inputs = list(job.inputs.value)
    image = job.image.value
    if image is not None and image.travels:
        inputs.append(image.source)
    if inputs:
        yield "TransferInput", literal(",".join(inputs))
    if job.public_inputs.value:
        yield "PublicInputFiles", literal(",".join(job.public_inputs.value))
    if job.outputs.said:
        yield "TransferOutput", literal(",".join(job.outputs.value or ()))
    remaps = job.of("transfer_output_remaps")
    if remaps.said:
        yield "TransferOutputRemaps", literal(re.sub(r'^"(.*)"$', r"\1", remaps.text))
    if methods := job.transfer_methods():
        yield "WantTransferPluginMethods", literal(",".join(methods))
    if job.checkpoint_code.said:
        yield "WantFTOnCheckpoint", "true"


def _image(job: Meaning) -> Iterator[tuple[str, str]]:
    image = job.image.value
    if image is None:
        return
    if job.universe.value == "docker":
        yield "WantDocker", "true"
        yield "DockerImage", literal(image.name)
        return
    yield "WantContainer", "true"
    if job.of("docker_image").said:
        yield "WantDockerImage", "true"
        yield "DockerImage", literal(image.name)
        return
    wanted = {"docker": "WantDockerImage", "sif": "WantSIF", "folder": "WantSandboxImage"}
    yield wanted[image.kind], "true"
    yield "ContainerImage", literal(image.name)
    before = image.source.rstrip("/").partition(":")[0]
    if image.travels:
        yield "ContainerImageFullPath", literal(image.source)
        yield "ContainerImageSource", literal(before if ":" in image.source else "cedar")
    else:
        asked = job.of("transfer_container").value is False
        yield "ContainerImageSource", literal("local" if asked else before)


def _end(job: Meaning) -> Iterator[tuple[str, str]]:
    """Yield hold, and what is tried again (SetJobRetries)."""
    if job.of("max_materialize").said or job.of("max_idle").said:
        pass  # the access point makes the jobs, a few at a time
    elif job.of("hold").value is True:
        yield "JobStatus", "5"
        yield "HoldReasonCode", "15"
        yield "HoldReason", '"submitted on hold at user\'s request"'
    else:
        yield "JobStatus", "1"
    remove, hold = job.of("on_exit_remove"), job.of("on_exit_hold")
    retries, success, until = (
        job.of(name) for name in ("max_retries", "success_exit_code", "retry_until")
    )
    if not any(field.said for field in (retries, success, until)):
        yield from (("OnExitRemove", remove.ad),) if remove.said else ()
        yield from (("OnExitHold", hold.ad),) if hold.said else ()
        return
    yield "JobMaxRetries", retries.ad or str(_RETRIES)
    yield "OnExitHold", hold.ad or "false"
    parts = ["NumJobCompletions > JobMaxRetries"]
    if success.said:
        yield "JobSuccessExitCode", success.ad
    parts.append(f"ExitCode =?= {'JobSuccessExitCode' if success.said else '0'}")
    if until.said:
        code = None if attributes(until.text) else as_integer(until.text)
        parts.append(f"ExitCode =?= {code}" if code is not None else _wrapped(until.text))
    if remove.said:
        parts.append(_wrapped(remove.text))
    yield "OnExitRemove", " || ".join(parts)


def _wrapped(text: str) -> str:
    expression = parse(text)
    weak = isinstance(expression, Operation) and expression.operator in ("?", "?:")
    return f"({normal(text)})" if weak else unparse(expression)


def _accounting(job: Meaning) -> Iterator[tuple[str, str]]:
    group, user = job.of("accounting_group"), job.of("accounting_group_user")
    name = group.text or ("nice-user" if job.of("nice_user").value is True else "")
    if name or user.said:
        owner = user.text or "user"
        yield "AcctGroupUser", literal(owner)
        if name:
            yield "AcctGroup", literal(name)
        yield "AccountingGroup", literal(f"{name}.{owner}" if name else owner)
    if job.of("nice_user").value is True and not job.of("max_job_retirement_time").said:
        yield "MaxJobRetirementTime", "0"
    limits = job.of("concurrency_limits")
    if limits.said:
        names = sorted(part for part in re.split(r"[,\s]+", limits.text.lower()) if part)
        yield "ConcurrencyLimits", literal(",".join(names))
    cuda = job.of("cuda_version")
    if cuda.said:
        yield "CUDAVersion", cuda.ad


def _times(job: Meaning) -> Iterator[tuple[str, str]]:
    """Yield the lease, and what deferral needs besides its time."""
    lease = job.of("job_lease_duration")
    number = as_integer(lease.text) if re.fullmatch(r"[\d.]+", lease.text) else None
    if lease.said:
        yield "JobLeaseDuration", "20" if number is not None and 0 < number < 20 else lease.ad
    elif job.universe.value not in ("local", "scheduler"):
        yield "JobLeaseDuration", "2400"
    if not job.of("notification").said:
        yield "JobNotification", "0"
    if job.of("max_idle").said:
        yield "JobMaterializeMaxIdle", normal(job.of("max_idle").text)
    log = job.of("starter_log")
    if log.said:
        yield "JobStarterLog", literal(str(job.folder.value / log.value))
        if not job.of("starter_debug").said:
            yield "JobStarterDebug", "true"
    if not job.deferred:
        return
    yield "ScheddInterval", "300"
    for name, ad, default in (
        ("window", "DeferralWindow", "0"), ("prep_time", "DeferralPrepTime", "300"),
    ):  # fmt: skip
        cron, plain = job.of(f"cron_{name}"), job.of(f"deferral_{name}")
        yield ad, cron.ad or plain.ad or default
