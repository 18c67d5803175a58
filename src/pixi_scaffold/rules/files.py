"""Rules on the inputs, the outputs, their folders, and what jobs share of them."""

import glob
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from pixi_scaffold.job import Command, QuotingError, field_of, split_arguments, split_list
from pixi_scaffold.rules.finding import Edit, Found, Severity, at, refused, rule
from pixi_scaffold.rules.makers import made_by, taken_to_run
from pixi_scaffold.rules.subject import Subject, is_url
from pixi_scaffold.rules.texts import within_review
from pixi_scaffold.system import is_elsewhere

_INSIDE = "use a path inside the folder"


@rule("PS205")
def missing_input(subject: Subject) -> Iterator[Found]:
    """An input that is not there."""
    if not subject.transfers or not subject.start.is_dir():  # PS208 says the latter
        return
    for name in ("transfer_input_files", "transfer_common_input", "input"):
        command = subject.job.command(name)
        if command is None:
            continue
        missing = list(_missing(subject, command))
        of_one_job = [item for item, proc in missing if proc]
        for item, proc in missing[: len(missing) - len(of_one_job[_SHOWN:])]:
            which = f" (job {proc} of {subject.job.queue.total})" if proc else ""
            maker = made_by(subject, item)
            doubt = bool(maker) or name == "transfer_common_input" or not subject.surely_transfers
            doubt |= any(subject.meaning.of(n).undefined for n in (name, "initialdir"))
            message = f"the input {item}{which} is not in {taken_to_run(subject.start, maker)}"
            fix = _how_to_name(subject, item)
            yield at(command, message, fix, severity=Severity.WARNING if doubt else None)
        if of_one_job[_SHOWN:]:
            message = f"{len(of_one_job) - _SHOWN} more inputs, to {of_one_job[-1]}, are not there"
            yield at(command, message, "correct the names", severity=Severity.NOTE)


def _how_to_name(subject: Subject, item: str) -> str:
    """Return what was most likely meant by an input that is not there."""
    if re.search(r"[*?\[]", item):
        return "HTCondor expands no pattern here: name the folder, or queue x matching files ..."
    if matched := re.match(r"(osdf|pelican|stash|https?|s3|file|docker):/(?=[^/])", item):
        return f"a URL has more slashes: {matched[1]}:///... or {matched[1]}://HOST/..."
    words = item.split()
    if len(words) > 1 and all((subject.start / word).exists() for word in words):
        return f"a comma parts the files: {', '.join(words)}"
    return "correct the name, make the file first, or say where it runs: check --from FOLDER"


_SHOWN = 3
"""Inputs of single jobs that are named; the others are counted."""


_MOST_JOBS = 1000


def _missing(subject: Subject, command: Command) -> Iterator[tuple[str, int]]:
    """Yield the files of a command that are missing, each once, with the first such job."""
    total = subject.job.queue.total if "$" in command.value else 1
    seen = {"/dev/null"}
    for proc in range(min(max(total, 1), _MOST_JOBS)):
        field = field_of(subject.job, command.name, proc)
        for item in split_list(field.text) if not field.unknown else ():
            if item in seen or is_url(item) or "$" in item:
                continue
            seen.add(item)
            path = subject.start / item
            given = path.exists() or to_be_made(subject, item) or is_elsewhere(path)
            place = subject.place(item)  # an earlier node of the DAG may make it, or its folder
            if not given and subject.earlier.isdisjoint((place, *place.parents)):
                yield item, proc


def to_be_made(subject: Subject, item: str) -> str:
    """Return the command that makes an input which is not there yet; empty when none is known.

    Such an input is no mistake: it is reported as not checked.
    """
    path = subject.start / item
    if subject.project is not None and path.resolve() == subject.project.lock.resolve():
        return "pixi-scaffold lock"
    if PurePosixPath(item).name == "env.tar.gz" and subject.project is not None:
        return "pixi-scaffold pack"
    if path.suffix != ".sif":
        return ""
    below = subject.job.folder.glob(f"*/{glob.escape(path.stem)}.def")
    recipe = next((p for p in (path.with_suffix(".def"), *below) if p.is_file()), None)
    return "" if recipe is None else f"apptainer build {item} {subject.shown(recipe)}"


def not_yet_made(subject: Subject) -> Iterator[tuple[str, str]]:
    """Yield the inputs and images that are still to be made, with the command that makes each."""
    for name in (*subject.inputs, subject.meaning.of("container_image").text):
        away = name and not is_url(name) and not (subject.start / name).exists()
        if away and (command := to_be_made(subject, name)):
            yield name, command


@within_review
def _is_inside(root: Path, start: Path, item: str) -> bool:
    """Whether a name that starts in one folder leads to a place in another."""
    return Path(os.path.normpath(start / Path(item).expanduser())).is_relative_to(root)


@rule("PS207", Severity.WARNING)
def path_of_this_machine(subject: Subject) -> Iterator[Found]:
    """A path that leads out of the project."""
    names = ("executable", "transfer_input_files", "log", "output", "error", "initialdir")
    for command in filter(None, map(subject.job.command, names)):
        program = command.name == "executable"
        image = subject.universe in ("container", "docker")
        if program and (image or not subject.meaning.transfers_executable):
            continue
        here = program or command.name == "initialdir"
        start = subject.job.folder if here else subject.start
        out = [
            item
            for item in subject.meaning.items(command.name)
            if not _is_inside(subject.root, start, item)
            and not (is_url(item) or item == "/dev/null")
            and (start.is_relative_to(subject.root) or leaves(item))  # initialdir is said once
            and not (program and item.startswith(("/bin/", "/usr/bin/")))
        ]
        if tilde := [item for item in out if item.startswith("~")]:
            message = f"{command.spelled} = {tilde[0]}: HTCondor does not expand ~, it is a "
            fix = "write the path itself, or $ENV(HOME)/..."
            yield at(command, message + "folder of that name here", fix)
        elif out:
            noted = command.name in ("log", "output", "error")  # once for all jobs: their folder
            shown = PurePosixPath(out[0]).parent if noted else ", ".join(out)
            message = f"{command.spelled} leads out of the project: {shown}"
            yield at(command, message, _INSIDE, severity=Severity.NOTE if noted else None)
    for command, _ in subject.said("transfer_output_files", "transfer_checkpoint_files"):
        for item in subject.meaning.items(command.name):
            if not is_url(item) and leaves(item):
                message = f"{command.spelled} is relative to the job's scratch folder, not {item}"
                yield at(command, message, _INSIDE)


@rule("PS208")
def folder_missing(subject: Subject) -> Iterator[Found]:
    """The folder of a log or an output, or initialdir, is missing, or stands for the file."""
    start = subject.job.command("initialdir")
    if start is not None and not subject.start.is_dir():
        shown = subject.meaning.of("initialdir").text
        if "$" not in (shown or "") and not is_elsewhere(subject.start):
            severity = Severity.WARNING if made_by(subject, "") else None
            fix = "correct initialdir, or make the folder"
            yield at(start, f"there is no folder {shown}", fix, severity=severity)
        return
    yield from _urls_into_no_folder(subject)
    for command, text in subject.said("log", "output", "error"):
        path, folder = subject.start / text, (subject.start / text).parent
        if not text or is_url(text) or "$" in text or (leaves(text) and text[-1] != "/"):
            continue  # a folder of the access point cannot be looked at from here
        if path.is_dir() or text.endswith("/"):
            log, undefined = command.name == "log", subject.meaning.of(command.name).undefined
            message = f"{text} is a folder: " + ("no log is written" if log else "the job is held")
            fix = f"{text.rstrip('/')}/$(Cluster).$(Process).{command.name[:3]}"
            yield at(command, message, fix, (), Severity.WARNING if log or undefined else None)
        elif not folder.is_dir():
            severity, result = _without_folder(subject, command.name)
            relative = os.path.relpath(folder, subject.start)
            if severity is Severity.ERROR and made_by(subject, relative):
                severity = Severity.WARNING
            shown, edits = subject.shown(folder), (Edit(folder, whole="folder"),)
            message = f"there is no folder {shown}{result}"
            yield at(command, message, f"mkdir -p {shown}", edits, severity)


def _urls_into_no_folder(subject: Subject) -> Iterator[Found]:
    """Yield file:// URLs of outputs, on the worker, that lead into a folder which is not here."""
    scripts = "\n".join(line for script in subject.scripts for line in script.lines)
    for command, text in subject.said("transfer_output_remaps", "output_destination"):
        whole = command.name == "output_destination"
        for url in [f"{text.rstrip('/')}/_"] if whole else subject.meaning.remaps.values():
            matched = re.match(r"file://[^/]*(/[^?#]*)/", url, re.IGNORECASE)
            folder = Path(unquote(matched[1])) if matched and "$" not in url else Path("/")
            if folder.is_dir() or is_elsewhere(folder / "_") or str(folder) in scripts:
                continue
            message = f"there is no folder {folder} here: a worker that has none either cannot "
            message += "write the output, and the job is held"
            fix = f"mkdir -p {folder}, or name a folder that workers have"
            yield at(command, message, fix, severity=Severity.WARNING, about=url)


def _without_folder(subject: Subject, name: str) -> tuple[Severity, str]:
    """Return how bad a missing folder of `log`, `output` or `error` is, and what comes of it."""
    if name == "log":
        return Severity.WARNING, ": HTCondor before 24.12.4 then writes no log"
    if subject.meaning.of(f"stream_{name}").value is True:
        return Severity.ERROR, f": with stream_{name} the job is held"
    if not subject.transfers:
        return Severity.ERROR, ": without a transfer of files the job is held before it runs"
    if subject.surely_transfers:
        return Severity.NOTE, "; HTCondor makes it when the output comes back"
    held = ": the job is held where worker and access point share a file system "
    return Severity.WARNING, f"{held}(should_transfer_files is not YES)"


@rule("PS211")
def inputs_without_transfer(subject: Subject) -> Iterator[Found]:
    """Inputs are named, and the transfer of files is switched off."""
    yield from (one for _, one in refused(subject, "transfer"))


@rule("PS212", Severity.WARNING)
def jobs_overwrite(subject: Subject) -> Iterator[Found]:
    """Several jobs write one file."""
    total = subject.job.queue.total
    for command, _ in subject.said("output", "error") if total > 1 else ():
        first, second = (
            tuple(field_of(subject.job, name, proc).text for name in ("initialdir", command.name))
            for proc in (0, 1)
        )
        known = not subject.meaning.of(command.name).unknown
        if known and first == second and first[1] != "/dev/null":
            message = f"all {total} jobs write {first[1]}"
            yield at(command, message, f"{command.spelled} = ...$(Cluster)-$(Process)...")


def leaves(item: str) -> bool:
    """Whether a path leads out of the folder that it starts from."""
    return item.startswith(("/", "~")) or ".." in item.split("/")


_NAMES = re.compile(
    r"-{1,2}(?:name|run|run[_-]?name|run[_-]?id|exp(?:eriment)?(?:[_-]?name)?|out(?:put)?"
    r"(?:[_-]?(?:dir|folder|path|file))?|o|save(?:[_-]?(?:dir|path|to))?|log[_-]?dir|result\w*"
    r"|ckpt|checkpoint(?:[_-]?(?:dir|path))?)$",
    re.IGNORECASE,
)
"""Options by which a program is told where its results go."""
_MOST = 200


@rule("PS216", Severity.WARNING)
def jobs_share_a_result(subject: Subject) -> Iterator[Found]:
    """Several jobs bring back results of one name."""
    job, command = subject.job, subject.job.command("transfer_output_files")
    total = subject.queue.total
    if command is None or total < 2 or not subject.transfers or job.proc:
        return
    if job.command("output_destination") or job.command("transfer_output_remaps"):
        return
    procs = range(min(total, _MOST))
    try:
        if len({field_of(job, "initialdir", n).text for n in procs}) > 1:
            return
        brought = [set(field_of(job, command.name, n).value or ()) for n in procs]
        given = [tuple(split_arguments(field_of(job, "arguments", n).text)) for n in procs]
    except (IndexError, QuotingError):
        return
    for item in sorted(i for i in set.intersection(*brought) if not is_url(i)):
        folder = item.endswith("/") or not PurePosixPath(item).suffix
        if not folder:
            message = f"all {total} jobs bring back {item}, so only the last one's is left"
            yield at(command, message, "name it after the job: $(Process)", about=item)
        elif named := _named_alike(given):
            option, value = named
            message = f"all {total} jobs write {option} {value} into {item}: the last one's is left"
            fix = f"let {option} name each job: $(Process), or what they differ by"
            place = job.command("arguments") or command
            yield at(place, message, fix, about=f"{option} ")
            return


def _named_alike(given: list[tuple[str, ...]]) -> tuple[str, str] | None:
    """Return the option that names the results, and its value, where it is the same in all jobs.

    None where no such option is given: then the program may find a name of its own.
    """
    rows: list[dict[str, str]] = []
    for words in given:
        pairs = dict(zip(words, (*words[1:], ""), strict=False))
        split = {w.partition("=")[0]: w.partition("=")[2] for w in words if "=" in w}
        rows.append({k: v for k, v in {**pairs, **split}.items() if v and _NAMES.match(k)})
    same = set(rows[0].items()).intersection(*(set(one.items()) for one in rows[1:]))
    differ = {k for one in rows for k in one} - {k for k, _ in same}
    return None if differ or not same else sorted(same)[0]
