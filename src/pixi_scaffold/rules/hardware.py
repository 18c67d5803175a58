"""Rules on what the program uses of a machine, against what the job asks for."""

import re
from collections.abc import Iterator

from pixi_scaffold.job import oversized
from pixi_scaffold.rules.finding import Found, Severity, at, rule
from pixi_scaffold.rules.luggage import size_in_words, size_of
from pixi_scaffold.rules.programs import calls_of, codes_of, matches
from pixi_scaffold.rules.subject import Subject, is_url
from pixi_scaffold.rules.texts import read_bytes
from pixi_scaffold.rules.trouble import trouble

_WANTS_GPU = re.compile(r"(?:^|\s)--?[\w-]*(?:device|accelerator)[= ]+[\"']?(?:cuda|gpu)\b")
_MOVES_TO_GPU = re.compile(
    r"\.cuda\(|\.to\(\s*[\"']cuda|\bdevice\s*=\s*[\"']cuda"
    r"|\bcuda\.(?:get_device_\w+|set_device|current_device|mem_get_info)\("
)
_MAKES_DO = re.compile(
    r"is_available|device_count|--device"
    r"|\b(?:if|which|command|type)\b.*nvidia-smi|nvidia-smi.*(?:\|\||2>)"
)
_COUNTS = re.compile(r"device_count")
_NEEDS_GPU = re.compile(
    rf"{_WANTS_GPU.pattern}|^\s*nvidia-smi\b|^\s*(?:export\s+)?CUDA_VISIBLE_DEVICES=[\"']?\d"
)
_DEVICES = re.compile(r"--(?:nproc[-_]per[-_]node|num[-_]gpus|gpus|devices)[= ]+(\d+)(?![\d,])")
_GPU_NUMBER = re.compile(r"(?<![\w/])cuda:(\d)(?![\d.])|--gpus?(?:[-_]ids?)?[= ]+(?:\d+,)+(\d+)")
_CUDA_NUMBER = re.compile(  # not of a dictionary, which may stand in for others: map_location
    r"[\"']cuda:(\d)[\"'](?!\s*:)|\.cuda\((\d+)\)|\bset_device\((\d+)\)"
    r"|\bdevice_ids\s*=\s*\[(?:\d+,\s*){,15}(\d+)\]"
)
_PROCESSES = re.compile(
    r"--(?:num[-_]workers|workers|n[-_]?jobs|threads|num[-_]threads|cores)[= ]+(\d+)\b"
    r"|\bmake\s(?:.*\s)?-j\s*(\d+)|\bmpi(?:run|exec)\s(?:.*\s)?-np?\s+(\d+)"
    r"|^\s*(?:export\s+)?(?:OMP|MKL|OPENBLAS|NUMEXPR)_NUM_THREADS=[\"']?(\d+)"
)
_WORKERS = re.compile(
    r"\b(?:num_workers|n_jobs|max_workers|processes)=(\d+)"
    r"|\b(?:Pool|\w+PoolExecutor|set_num_threads)\((\d+)\b\)?"
)
_USES = (
    ("gpus", 0, Severity.WARNING, _DEVICES, re.compile("(?!)")),
    ("gpus", 1, Severity.WARNING, _GPU_NUMBER, _CUDA_NUMBER),
    ("gpus", 1, Severity.NOTE, re.compile(r"--gpu[= ](\d+)\b(?!,)"), re.compile("(?!)")),
    ("cpus", 0, Severity.NOTE, _PROCESSES, _WORKERS),
)  # fmt: skip
"""Of what, the number of the first, how bad more is than the job asks for, and how a shell and a
program say it."""
_HAS_GPU = re.compile(r"\b(?:Total)?GPUs\s*(?:>=?\s*\d|==\s*[1-9])|\bGPUs_\w+", re.IGNORECASE)


@rule("PS128", Severity.WARNING)
def gpu_not_asked_for(subject: Subject) -> Iterator[Found]:
    """The program uses a GPU that the job does not ask for."""
    if subject.meaning.requests.gpus.said or not subject.transfers:
        return
    fix = "add: request_gpus = 1"
    for command, text in subject.said("arguments", "requirements"):
        pattern = _WANTS_GPU if command.name == "arguments" else _HAS_GPU
        if pattern.search(text):
            yield at(command, f"{command.spelled} asks for a GPU, and the job has none", fix)
            return
    for path, code in codes_of(subject):
        wants = _NEEDS_GPU if path.suffix != ".py" else _MOVES_TO_GPU
        if not matches(_MAKES_DO, code):
            for number, line, _ in matches(wants, code)[:1]:
                message = "this line uses a GPU, and the job asks for none"
                yield Found(path, number, message, fix, about=line.strip())
                return


@rule("PS130", Severity.WARNING)
def more_than_asked_for(subject: Subject) -> Iterator[Found]:
    """The program uses more than the job asks for."""
    command, text = subject.job.command("arguments"), subject.meaning.of("arguments").text
    for kind, first, severity, shell, program in _USES:
        given = getattr(subject.meaning.requests, kind).value
        said = [] if command is None else [(command.file, command.line, shell.search(text))]
        for path, code in codes_of(subject) if isinstance(given, int) and given >= 0 else ():
            python = path.suffix == ".py"
            lines = calls_of(read_bytes(path) or b"") if python and not first else code
            if not (python and first and matches(_COUNTS, code)):
                pattern = program if python else shell
                said += [(path, number, match) for number, _, match in matches(pattern, lines)]
        for path, number, matched in said:
            used = first + int(next(filter(None, matched.groups()))) if matched else 0
            if matched and isinstance(given, int) and used > max(given, 1):
                message = f"{matched[0].strip()} with request_{kind} = {given}"
                fix = f"request_{kind} = {used}" + "; a job's first GPU has the number 0" * first
                yield Found(path, number, message, fix, severity=severity, about=matched[0].strip())
    yield from trouble(subject, "PS130")


@rule("PS131", Severity.WARNING)
def disk_too_small(subject: Subject) -> Iterator[Found]:
    """The inputs do not fit on the disk that is asked for."""
    disk = subject.meaning.requests.disk
    if not isinstance(disk.value, int) or disk.command is None or not subject.transfers:
        return
    names = [n for n in subject.meaning.items("transfer_input_files") if not is_url(n)]
    total = sum(size_of(subject.start / name) for name in names if "$" not in name)
    if total > disk.value > 0:
        has = size_in_words(total)
        message = f"{disk.command.spelled} = {disk.text}, and the inputs have {has}"
        yield at(disk.command, message, "ask for more than the inputs have")


@rule("PS132", Severity.WARNING)
def hardly_any_machine(subject: Subject) -> Iterator[Found]:
    """More than hardly any machine has."""
    for command, name, value in oversized(subject.meaning):
        size = name in ("memory", "disk")
        much = f"{size_in_words(value)} of {name}" if size else f"{value} of them"
        fix = "correct the unit" if size else "ask for fewer"
        yield at(command, f"hardly any machine has {much}", fix)
    yield from trouble(subject, "PS132")
