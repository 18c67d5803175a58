"""A job's conditions on a slot and on its GPUs, each with the line that it comes from.

Source: SetRequirements and SetResourceRequirements of submit_utils.cpp, HTCondor 25.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from pixi_scaffold.job.classad import ExpressionError, Operation, Undefined, names_in, parse
from pixi_scaffold.job.description import Command
from pixi_scaffold.job.evaluate import NotKnownError, evaluate
from pixi_scaffold.job.meaning import Meaning
from pixi_scaffold.job.values import Field

_OPSYS = ("opsys", "opsysandver", "opsyslongname", "opsysshortname", "opsysname", "opsyslegacy")
_MAY_TRANSFER = ("vanilla", "container", "docker", "parallel", "java", "vm")
_ENCRYPTED = tuple(
    f"{word}encrypt_{side}_files" for word in ("", "dont_") for side in ("input", "output")
)


_MOST = {"cpus": 512, "gpus": 16, "memory": 2 << 40, "disk": 100 << 40}
"""More than any slot has that pools show; of memory and disk, bytes that a few have at most."""


class Clause(NamedTuple):
    """One condition on a slot: the expression, and the line of the description it comes from."""

    text: str
    origin: str
    line: int = 0
    """0 for what condor_submit adds by itself."""
    gpu: bool = False
    """A condition on each GPU, not on the slot."""


def _clause(text: str, field: Field[Any], origin: str = "") -> Clause:
    command = field.command if field.said else None
    if command is None:
        return Clause(text, origin or "condor_submit")
    return Clause(text, origin or command.spelled, command.line)


def oversized(job: Meaning) -> Iterator[tuple[Command, str, int]]:
    """Yield requests of more than hardly any machine has: the line, of what, and how much."""
    for name, most in _MOST.items():
        field: Field[int | str | None] = getattr(job.requests, name)
        if isinstance(field.value, int) and field.value >= most and field.command is not None:
            yield field.command, name, field.value


def gpu_clauses(job: Meaning) -> Iterator[Clause]:
    """Yield the conditions on each GPU."""
    if job.requests.gpus.value is None:
        return
    required = job.of("require_gpus")
    for part in top_level_and(required.text):
        yield _clause(part, required, "require_gpus")._replace(gpu=True)
    for name, comparison in _GPU_LIMITS.items():
        field = job.of(name)
        named = re.search(rf"\b{comparison.split()[0]}\b", required.text, re.IGNORECASE)
        if field.said and field.command is not None and not named:
            yield Clause(comparison, field.command.spelled, field.command.line, gpu=True)


_GPU_LIMITS = {
    "gpus_minimum_capability": "Capability >= GPUsMinCapability",
    "gpus_maximum_capability": "Capability <= GPUsMaxCapability",
    "gpus_minimum_memory": "GlobalMemoryMb >= GPUsMinMemory",
    "gpus_minimum_runtime": "MaxSupportedVersion >= GPUsMinRuntime",
}
_ORIGINS = {
    **{f"Request{name}": f"request_{name.lower()}" for name in ("Memory", "Cpus", "Disk", "GPUs")},
    **{comparison.split()[-1]: name for name, comparison in _GPU_LIMITS.items()},
}
"""What a condition holds, and the command that it is then of."""


def ad_clauses(requirements: str, require_gpus: str) -> Iterator[Clause]:
    """Yield the conditions of a job's ad, each with the command that it comes from."""
    for text, gpu in ((requirements, False), (require_gpus, True)):
        for part in top_level_and(text):
            bare = part[1:-1] if part.startswith("(") and part.endswith(")") else part
            origin = next((name for word, name in _ORIGINS.items() if word in part), "requirements")
            if top_level_and(bare) != [bare.strip()] and bare.count("(") == bare.count(")"):
                yield from ad_clauses(bare, "") if not gpu else ad_clauses("", bare)
            else:
                yield Clause(part, origin, gpu=gpu)


def slot_clauses(job: Meaning) -> Iterator[Clause]:
    """Yield the conditions on the slot, the job's own first."""
    required = job.of("requirements")
    yield from (_clause(part, required, "requirements") for part in top_level_and(required.text))
    named = names_in(f"({required.text})")
    yield from _machine(job, named)
    yield from _resources(job, named)
    encrypt = job.of("encrypt_execute_directory")
    if encrypt.value is True and "encryptexecutedirectory" not in named:
        yield _clause("TARGET.HasEncryptExecuteDirectory", encrypt)
    if job.universe.value in _MAY_TRANSFER:
        yield from _transfer(job, named)
    yield from _rest(job, named)


def _machine(job: Meaning, named: set[str]) -> Iterator[Clause]:
    universe, image = job.of("universe"), job.image
    if job.universe.value == "java":
        yield _clause("TARGET.HasJava", universe)
        return
    if "arch" not in named:
        yield Clause('TARGET.Arch == "X86_64"', "condor_submit")
    if job.universe.value == "docker":
        yield _clause("TARGET.HasDocker", universe)
    elif image.value is not None:
        yield _clause("TARGET.HasContainer", universe if universe.said else image, "universe")
        kinds = {"docker": "HasDockerURL", "sif": "HasSIF", "folder": "HasSandboxImage"}
        yield _clause(f"TARGET.{kinds[image.value.kind]}", image)
    elif not named & set(_OPSYS):
        yield Clause('TARGET.OpSys == "LINUX"', "condor_submit")


def _resources(job: Meaning, named: set[str]) -> Iterator[Clause]:
    requests = job.requests
    newer = job.universe.value in ("vanilla", "container", "docker")
    if requests.disk.value is not None or not requests.disk.said:
        text = "TARGET.Disk >= RequestDisk"
        if "disk" not in named and newer:  # newer ones judge it themselves
            text = f'versionGE(split(TARGET.CondorVersion)[1],"25.12.0") || ({text})'
        if not (isinstance(requests.disk.value, int) and requests.disk.value <= 0):
            yield _clause(text, requests.disk)
    memory = requests.memory
    if memory.value is not None and _more_than_one(memory.ad or "128"):
        yield _clause("TARGET.Memory >= RequestMemory", memory)
    cpus = requests.cpus
    if cpus.value is not None and "cpus" not in named and _more_than_one(cpus.ad or "1"):
        yield _clause("TARGET.Cpus >= RequestCpus", cpus)
    gpus: dict[str, Field[Any]] = {} if requests.gpus.value is None else {"GPUs": requests.gpus}
    for tag, field in {**gpus, **requests.custom}.items():
        attribute = f"Request{tag}"
        if tag.lower() in named or not _wants(field):
            continue
        if field.text.startswith('"'):
            yield _clause(f"regexp({attribute},TARGET.{tag})", field)
        elif tag == "GPUs" and any(gpu_clauses(job)):
            text = "countMatches(MY.RequireGPUs,TARGET.AvailableGPUs) >= RequestGPUs"
            yield _clause(text, field, "request_gpus")
        else:
            yield _clause(f"TARGET.{tag} >= {attribute}", field)


def _wants(field: Field[Any]) -> bool:
    """Whether a request of a resource is more than 0, or not known before it is matched."""
    try:
        value = evaluate(field.text)
    except (ExpressionError, NotKnownError):
        return True
    expression = parse(field.text)
    part = isinstance(expression, Operation) and expression.operator.startswith(".")
    if part or isinstance(value, bool):
        return False
    if isinstance(value, int | float):
        return value > 0
    return isinstance(value, Undefined) or (isinstance(value, str) and value != "")


def _more_than_one(text: str) -> bool:
    """Whether a request is not a plain number of at most 1, which every slot has."""
    return re.fullmatch(r"[-+]?\d+(\.\d*)?", text) is None or float(text) > 1


def _transfer(job: Meaning, named: set[str]) -> Iterator[Clause]:
    said = job.of("should_transfer_files")
    domain = "TARGET.FileSystemDomain == MY.FileSystemDomain"
    if job.transfers.value == "no":
        if "filesystemdomain" not in named:
            yield _clause(domain, said, "should_transfer_files")
        return
    if named & {"hasfiletransfer", "hasjobtransferplugins"}:
        return
    plugins = job.of("transfer_plugins").said
    parts = ["TARGET.HasJobTransferPlugins" if plugins else "TARGET.HasFileTransfer"]
    if "hasperfileencryption" not in named and any(job.of(name).said for name in _ENCRYPTED):
        parts.append("TARGET.HasPerFileEncryption")
    relative = job.of("preserve_relative_paths").value is True
    if job.of("transfer_checkpoint_files").said or relative or job.when.value == "on_success":
        parts.append('versioncmp(split(TARGET.CondorVersion)[1],"8.9.7") >= 0')
    if "hasfiletransferpluginmethods" not in named:
        parts += [
            f'stringListIMember("{method}",TARGET.HasFileTransferPluginMethods)'
            for method in job.transfer_methods()
        ]
    if job.transfers.value == "if_needed" and "filesystemdomain" not in named:
        text = f"({domain}) || ({' && '.join(parts)})"
        yield _clause(text, said, "should_transfer_files")
    else:
        for part in parts:
            yield _clause(part, said, "should_transfer_files")


def _rest(job: Meaning, named: set[str]) -> Iterator[Clause]:
    if job.deferred:
        if job.universe.value != "local":
            yield Clause("TARGET.HasJobDeferral", "condor_submit")
        yield Clause(
            "((time() + ScheddInterval) >= (DeferralTime - DeferralPrepTime)) && "
            "(time() < (DeferralTime + DeferralWindow))",
            "condor_submit",
        )
    code = job.checkpoint_code
    if code.said and "hasselfcheckpointtransfers" not in named and job.transfers.value != "no":
        yield _clause("TARGET.HasSelfCheckpointTransfers", code)
    cuda = job.of("cuda_version")
    if cuda.said:
        yield _clause("CUDAVersion <= TARGET.CUDAMaxSupportedVersion", cuda)


def top_level_and(text: str) -> list[str]:
    """Split an expression at its outermost `&&`; one with an outermost `||` or `?` stays whole."""
    depth, start, at = 0, 0, 0
    parts: list[str] = []
    while at < len(text):
        char = text[at]
        if char == '"':
            end = re.match(r'"(?:\\.|[^"\\])*"?', text[at:])
            at += end.end() if end else 1
            continue
        depth += (char in "([{") - (char in ")]}")
        if depth == 0 and (text.startswith("||", at) or (char == "?" and text[at - 1] != "=")):
            return [text.strip()] if text.strip() else []
        if depth == 0 and text.startswith("&&", at):
            parts.append(text[start:at].strip())
            at += 2
            start = at
            continue
        at += 1
    parts.append(text[start:].strip())
    return [part for part in parts if part]
