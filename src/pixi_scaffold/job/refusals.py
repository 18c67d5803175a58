"""What condor_submit stops at in a job: values that it refuses, and commands that exclude others.

What stands in files (an executable that is missing) is not looked at here. Source: the Set...()
functions of submit_utils.cpp, HTCondor 25; the tests compare with condor_submit.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from pixi_scaffold.job.classad import Literal, Operation, names_in, parse
from pixi_scaffold.job.commands import CommandSpec, specs
from pixi_scaffold.job.description import Command
from pixi_scaffold.job.evaluate import as_integer, as_switch
from pixi_scaffold.job.meaning import DEFERS, Meaning
from pixi_scaffold.job.values import Field, expression_advice
from pixi_scaffold.job.words import parse_size

_INCOMPATIBLE = ("if_needed", "on_exit_or_evict")
NEWER = "from 25.10 on"
_GRIDS = ("arc", "azure", "batch", "condor", "ec2", "gce", "lsf", "nqs", "pbs", "sge")
_OLD_GRIDS = ("blah", "naregi")
_DEFERRAL = (
    "deferral_time", "cron_window", "deferral_window", "cron_prep_time", "deferral_prep_time",
)  # fmt: skip
_KEYS = re.compile(r"(?:s3|aws|gs)_(?:secret_)?access_key(?:_id)?_file$")


_LEAST = {
    "dagman_job_id": 0, "job_machine_attrs_history_length": 0, "max_materialize": -(1 << 31),
    "retry_until": -(1 << 31),
}  # fmt: skip


class Refusal(NamedTuple):
    """Something that condor_submit stops at."""

    kind: str
    """The type of the value (data/commands.json), what is missing (`executable`, `image`, another
    command), `transfer`, or `together` (they exclude each other)."""
    message: str
    fix: str
    command: Command | None = None
    versions: str = ""
    """The releases of HTCondor that refuse it, such as `before 25.10`; empty: all."""


def refusals(job: Meaning) -> Iterator[Refusal]:
    """Yield what condor_submit refuses; it would stop at the first."""
    yield from _values(job)
    yield from _universe(job)
    yield from _services(job)
    yield from _transfer(job)
    yield from _executable(job)
    yield from _deferral(job)
    yield from _names(job)
    yield from _whole_numbers(job)
    yield from _retries_with_more_memory(job)


def _values(job: Meaning) -> Iterator[Refusal]:
    """Yield each value that is not of its command's type, where the command is looked at at all."""
    for name, field in job.fields.items():
        if not field.refused or field.command is None or not looked_at(job, name):
            continue
        spec = specs().get(name) or CommandSpec(name, "expression")
        whole = field.text == field.command.spelled
        message = field.refused if whole else f"{_line(field)}: {field.refused}"
        versions = field.versions or _LOOKED_AT.get(name, "")
        yield Refusal(spec.type, message, field.fix, field.command, versions)


_LOOKED_AT = {"docker_send_credentials": "from 25 on"}
"""Commands that older releases do not look at."""


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 50 else f"{line[:47]}..."


def _together(field: Field[Any], message: str, fix: str) -> Refusal:
    return Refusal("together", message, fix, field.command)


def _because(kind: str, field: Field[Any], why: str, fix: str, versions: str = "") -> Refusal:
    return Refusal(kind, f"{_line(field)}: {why}", fix, field.command, versions)


def _line(field: Field[Any]) -> str:
    return f"{field.command.spelled} = {_short(field.text)}" if field.command else ""


def _universe(job: Meaning) -> Iterator[Refusal]:
    said, universe = job.of("universe"), job.universe.value
    docker, container = job.of("docker_image"), job.of("container_image")
    may_contain = universe in ("container", "docker", "local")
    if docker.said and container.said and may_contain:
        message = "docker_image and container_image are set: only one of them can be"
        yield _together(container, message, "keep one of the two")
    elif universe == "docker" and not docker.said:
        fix = "add: docker_image = NAME"
        yield Refusal("image", "a docker job needs docker_image", fix, said.command)
    elif universe == "container" and not docker.said and not container.said:
        why = "a container job needs container_image or docker_image"
        yield Refusal("image", why, "add: container_image = FILE.sif", said.command)
    if may_contain and re.match(r"\"?\s*(instance|library|shub)://", container.text):
        why, fix = "HTCondor fetches no such image", "use docker:// or a .sif file"
        yield Refusal("text", why, fix, container.command)
    if universe == "grid":
        grid = job.of("grid_resource")
        if not grid.said or grid.text.split(" ")[0].lower() not in (*_GRIDS, *_OLD_GRIDS):
            why = f"a grid job needs grid_resource to begin with one of: {', '.join(_GRIDS)}"
            fix = "add: grid_resource = batch slurm"
            yield Refusal("missing", why, fix, grid.command or said.command)
    parallel = job.of("want_parallel_scheduling").value is True
    for kind, command, needs in _NEEDS:
        needed = kind == universe or (parallel and kind == "parallel")
        if needed and not job.of(command).said:
            why, _, fix = needs.partition("; ")
            yield Refusal("missing", f"a {kind} job needs {why}", f"add: {fix}", said.command)


_NEEDS = (
    ("parallel", "machine_count", "machine_count; machine_count = 2"),
    ("vm", "vm_type", "vm_type; vm_type = kvm"),
    ("java", "arguments", "the class in arguments; arguments = CLASS"),
)


def _services(job: Meaning) -> Iterator[Refusal]:
    """Yield the services of a container without a port of their own (SetContainerSpecial)."""
    services = job.of("container_service_names")
    if job.image.value is None or not services.said or services.unknown:
        return
    for service in re.split(r"[,\s]+", services.text.strip(", ")):
        port = job.of(f"{service}_container_port")
        number = as_integer(port.text) if port.said else None
        if not port.unknown and (number is None or not 0 <= number <= 65535):
            message = f"the service {service} has no port from 0 to 65535"
            fix = f"add: {service}_container_port = 8080"
            yield Refusal("missing", message, fix, port.command or services.command)


def _transfer(job: Meaning) -> Iterator[Refusal]:
    """Yield contradictions about the transfer of files (SetTransferFiles)."""
    should, when = job.of("should_transfer_files"), job.of("when_to_transfer_output")
    fix, said = "should_transfer_files = YES", f"should_transfer_files = {should.text.upper()}"
    if job.transfers.value == "no":
        yield from _files_without_transfer(job, said, fix)
        if when.said and job.when.value != "never":
            yield _together(when, f"{_line(when)} with {said}", fix)
    elif when.said and job.when.value == "never":
        yield _together(when, f"{_line(when)}, and files are transferred", "remove the line")
    elif should.said and (job.transfers.value, job.when.value) == _INCOMPATIBLE:
        yield _together(when, f"{_line(when)} with {said}", fix)
    if job.of("output_destination").said and job.of("output_directory").said:
        message = "output_destination and output_directory are set"
        yield _together(job.of("output_directory"), message, "keep one of the two")
    remaps = job.of("transfer_output_remaps")
    if remaps.said and not remaps.text.startswith('"'):
        message = f"{_line(remaps)}: HTCondor before 24.0.5 wants double quotes around it"
        better = f'write: transfer_output_remaps = "{remaps.text}"'
        yield Refusal("quoting", message, better, remaps.command, "before 24.0.5")
    yield from _buckets(job)


def _files_without_transfer(job: Meaning, said: str, fix: str) -> Iterator[Refusal]:
    """Yield the first of the lists of files, and the executable, that cannot be transferred."""
    image = job.image.value
    fields: list[Field[Any]] = [job.inputs, job.outputs]
    fields += [job.image] if image is not None and image.travels else []
    for field in fields:
        if field.command is not None and field.said:
            message = f"{field.command.spelled} is set with {said}"
            yield Refusal("transfer", message, fix, field.command)
            break
    executable = job.of("transfer_executable")
    if executable.said and as_switch(executable.text) is not False:
        yield Refusal("transfer", f"{_line(executable)} with {said}", fix, executable.command)


def _buckets(job: Meaning) -> Iterator[Refusal]:
    urls = (*job.inputs.value, job.of("output_destination").text, *job.remaps.values())
    bucket = next((url for url in urls if re.match("(?:s3|gs)://", url, re.IGNORECASE)), "")
    keys = {
        "secret" in name for name, field in job.fields.items() if field.said and _KEYS.match(name)
    }
    if bucket and len(keys) < 2 and job.transfers.value != "no":
        fix = "add: s3_access_key_id_file = FILE, and s3_secret_access_key_file = FILE"
        yield Refusal("missing", f"{bucket} needs the files with its keys", fix, job.inputs.command)


def _executable(job: Meaning) -> Iterator[Refusal]:
    needless = job.shell.said or job.universe.value in ("container", "docker", "")
    if not job.executable.said and not needless:
        fix = "add: executable = FILE"
        yield Refusal("executable", "no executable is set", fix, job.executable.command)
    for one in ("arguments", "environment"):
        allowed = job.of(f"allow_{one}_v1")
        both = job.of(one).said and job.of(f"{one}2").said
        if both and as_switch(allowed.text) is not True and not job.shell.said:
            yield _together(job.of(f"{one}2"), f"{one} and {one}2 are set", "keep one of the two")
    if job.universe.value == "vm":
        for name in ("input", "output", "error"):
            if job.of(name).said and job.of(name).text != "/dev/null":
                yield _together(job.of(name), f"a vm job has no {name}", "remove the line")


def _deferral(job: Meaning) -> Iterator[Refusal]:
    wanted = [name for name in DEFERS if job.of(name).said]
    if wanted and job.universe.value == "scheduler":
        why = f"{wanted[0]} does not work in the scheduler universe"
        yield _together(job.of(wanted[0]), why, "universe = local")
    for name in _DEFERRAL if wanted else ():
        field = job.of(name)
        if field.said and not field.refused and not field.unknown and not _not_negative(field.text):
            why = "it is no whole number of seconds"
            yield _because("integer", field, why, "write a whole number, or an expression")


def _not_negative(text: str) -> bool:
    """Whether an expression is not a literal, or a whole number from 0 on."""
    number = parse(text)
    if isinstance(number, Operation) and number.operator in ("-", "+"):
        number = number.operands[0] if number.operator == "+" else Literal(-1.0)
    if not isinstance(number, Literal):
        return True
    return isinstance(number.value, int) and not isinstance(number.value, bool)


def _names(job: Meaning) -> Iterator[Refusal]:
    """Yield invalid names, and numbers that an integer cannot hold."""
    for name, field in job.fields.items():
        if name.startswith("my.") and not re.fullmatch(r"my\.[a-z_]\w*", name, re.ASCII):
            yield _because("text", field, "it is no name of an attribute", "write another name")
    limits = job.of("concurrency_limits")
    for limit in re.split(r"[,\s]+", limits.text) if not limits.unknown else ():
        if limit and not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)?(:.*)?", limit, re.ASCII):
            why = f"{limit} is no name of a limit"
            yield _because("text", limits, why, "write a name, or NAME:NUMBER")
    if limits.said and job.of("concurrency_limits_expr").said:
        both = "concurrency_limits and concurrency_limits_expr are set"
        yield _together(limits, both, "keep one")
    for name in ("accounting_group", "accounting_group_user"):
        field = job.of(name)
        if re.search(r"\s", field.text):
            yield _because("text", field, "there is a space in it", "write one word")
    for name in ("image_size", "disk_usage"):
        field = job.of(name)
        if isinstance(field.value, int) and field.value < 1:
            yield _because("size", field, "it must be at least 1 KiB", "write a size")
    requirements = job.of("requirements")
    if "requirements" in names_in(f"({requirements.text})"):
        fix = "write $(requirements)"
        yield Refusal("expression", "requirements refers to itself", fix, requirements.command)


def _whole_numbers(job: Meaning) -> Iterator[Refusal]:
    """Yield numbers that an integer cannot hold, and what is no number."""
    for name, least in _LEAST.items():
        field = job.of(name)
        if re.fullmatch(r"[-+]?\d+", field.text) and not least <= int(field.text) < 1 << 31:
            fix = "write a smaller number, from 0 on"
            yield _because("integer", field, "it is out of range", fix)
    lifetime = job.of("delegate_job_gsi_credentials_lifetime")
    if lifetime.said and not re.fullmatch(r"[-+]?\d+", lifetime.text):
        yield _because("integer", lifetime, "it is no integer", "write a whole number of seconds")


def _retries_with_more_memory(job: Meaning) -> Iterator[Refusal]:
    """Yield what is wrong with retry_request_memory and its kin, which are of HTCondor 25.10."""
    for resource, unit in (("memory", 1 << 20), ("disk", 1 << 10)):
        default = "128" if resource == "memory" else ""  # that of the disk is an expression
        if parse_size(job.of(f"request_{resource}").text or default, unit) is None:
            continue  # they are not looked at
        listed = job.of(f"retry_request_{resource}")
        most = job.of(f"retry_request_{resource}_max")
        field = listed if listed.said else most
        if field.refused and not field.versions:
            yield _because("size", field, field.refused, field.fix, NEWER)
        increase = job.of(f"retry_request_{resource}_increase")
        if increase.said and not listed.said and not increase.unknown:
            yield from _increase(increase, f"request{resource}", unit)


def _increase(field: Field[Any], attribute: str, unit: int) -> Iterator[Refusal]:
    size = parse_size(field.text, unit)
    good = attribute in names_in(field.text) if size is None else size > 0
    if not good:
        why = f"it is no size, and no expression of {attribute}"
        yield _because("size", field, why, expression_advice(field.text), NEWER)


def looked_at(job: Meaning, name: str) -> bool:
    """Whether condor_submit looks at a command of this job."""
    if name.startswith("retry_request_") or name == "send_credential":
        return False
    looks = next((looks for names, looks in _LOOKS_AT if name.startswith(names)), None)
    return looks is None or looks(job)


_LOOKS_AT: tuple[tuple[tuple[str, ...], Callable[[Meaning], bool]], ...] = (
    (("gpus_", "require_gpus"),
     lambda job: job.requests.gpus.text.lower() not in ("", "undefined")),
    (("vm_", "suspend_job_at_exec"),
     lambda job: job.universe.value == "vm" or job.of("tool_daemon_cmd").said),
    (("arguments",), lambda job: not job.shell.said),
    (("max_idle",), lambda job: not job.of("max_materialize").said),
    (("cron_window", "deferral_window", "cron_prep_time", "deferral_prep_time"),
     lambda job: any(job.of(one).said for one in DEFERS)),
    (("submitallowdup", "submitfailemptym", "submitwarnd", "submitwarnemptym"),
     lambda job: job.job.queue.source is not None or " matching" in job.job.queue.text.lower()),
    (("submitfailemptyf", "submitwarnemptyf"), lambda _: False),
)  # fmt: skip
"""Commands by how they begin, and when they are looked at; all others always are."""
