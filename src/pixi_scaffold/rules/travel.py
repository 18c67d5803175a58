"""Rules on what travels with the job, and under which name it arrives."""

import re
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pixi_scaffold.job import QuotingError, split_arguments
from pixi_scaffold.rules.files import leaves
from pixi_scaffold.rules.finding import Found, Severity, added_inputs, at, rule
from pixi_scaffold.rules.programs import Imported, calls, imported
from pixi_scaffold.rules.subject import Script, Subject, is_url
from pixi_scaffold.rules.texts import read_bytes, within_review
from pixi_scaffold.rules.worker import removed_in_the_end

_TALK = re.compile(r"\s*(?:echo|printf|say|log)\b")
# What is packed or renamed at the end is what the job made, although a copy of it may lie here.
_PACKS = re.compile(r"\s*(?:tar\s+-?\w*c|zip\b|gzip\b|bzip2\b|xz\b|zstd\b|mv\b|rm\b)")
FILES_APPEAR = re.compile(
    r"(?:^|[;&|]|\b(?:if|then|else|do|while)\s)\s*(?:!\s+)?(?:"
    r"(?:cd|pushd)\s+(?:--\s+)?[\"']?(?:[\w./~]|\$(?!\{?(?:_CONDOR_SCRATCH_DIR|PWD)\b))"
    r"|git\s+clone|unzip\b|tar\s+\S*x(?!.*\s-C\s+[\"']?[^.\s])|conda-unpack)"
)
_OUTPUT_OPTION = re.compile(r"-{1,2}\w*(?:out|save|result|dest|log|write|export)[\w-]*$|-o$", re.I)
_NOT_SHARED = """will not have it, unless it shares a file system with the access point \
(should_transfer_files is not YES)"""
_PATH = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_./-]*")


@rule("PS206", Severity.WARNING)
def output_from_nowhere(subject: Subject) -> Iterator[Found]:
    """An output that nothing makes, or that is removed in the end."""
    yield from removed_in_the_end(subject)
    unseen = subject.brings_unseen or len(subject.input_files) < len(subject.inputs)
    if unseen or (subject.meaning.of("preserve_relative_paths").value is True):
        return  # who writes it cannot be seen
    texts = [(read_bytes(p) or b"").decode("utf-8", errors="replace") for p in subject.files]
    arguments = subject.meaning.of("arguments").text
    for name in ("transfer_output_files", "transfer_checkpoint_files"):
        command = subject.job.command(name)
        if command is None or "$" in command.value:
            continue
        for item in subject.meaning.items(name):
            last = PurePosixPath(item.rstrip("/")).name
            if not last or last in subject.arrives or last in arguments or is_url(item):
                continue  # PS220 speaks of URLs
            written = re.compile(re.escape(last) + (r"(?!\w)" if "." in last else ""))
            if any(map(written.search, texts)):
                continue
            message = f"{item} is not mentioned in any script: never written, it holds the job"
            pattern = "HTCondor expands no pattern here: name the files, or a folder with them"
            yield at(command, message, pattern if "*" in item else "name what the program writes")


@rule("PS209")
def reads_what_stays_here(subject: Subject) -> Iterator[Found]:
    """The job reads a file that is here and that nobody transfers."""
    if not subject.transfers:
        return
    sure = subject.surely_transfers
    for mention in _mentioned(subject):
        worker = f"the worker {'will not have it' if sure else _NOT_SHARED}"
        message = f"this line uses {mention.name}, which is not in transfer_input_files: {worker}"
        severity = None if sure and mention.certain else Severity.WARNING
        fix = f"add {mention.name} to transfer_input_files"
        edits = added_inputs(subject, [mention.name])
        yield Found(mention.file, mention.line, message, fix, edits, severity)


@rule("PS210", Severity.WARNING)
def arrives_elsewhere(subject: Subject) -> Iterator[Found]:
    """A file arrives under another name than the job uses."""
    if not subject.transfers or (subject.meaning.of("preserve_relative_paths").value is True):
        return
    yield from _of_one_name(subject)
    items = [i for i in subject.inputs if "/" in i.strip("./") and not is_url(i)]
    items = [i for i in items if PurePosixPath(i).parts[0] not in subject.arrives]
    code = [
        (file, n, i, "") for file, n, words in _code_words(subject) for i in items if i in words
    ]
    for path in subject.programs if items else ():
        lines = (read_bytes(path) or b"").decode("utf-8", errors="replace").splitlines()
        for n, line in enumerate(lines, start=1):
            code += [(path, n, i, i) for i in items if f'"{i}"' in line or f"'{i}'" in line]
    for file, n, item, about in code:
        last = PurePosixPath(item).name
        yield Found(file, n, f"{item} arrives as {last}", f"write {last} here", about=about)
    yield from _of_folders(subject)


def _of_one_name(subject: Subject) -> Iterator[Found]:
    """Yield inputs that arrive under one name."""
    command = subject.job.command("transfer_input_files")
    seen: dict[str, str] = {}
    for item in subject.inputs:
        last = PurePosixPath(item).name if not item.endswith("/") else ""
        if last in seen and seen[last] != item and command is not None:
            message = f"{seen[last]} and {item} arrive under the same name"
            yield at(command, message, "rename one of them")
        if last:
            seen[last] = item


def _of_folders(subject: Subject) -> Iterator[Found]:
    """Yield where a job uses a name that a folder gives it only with, or without, its slash."""
    folders = [i for i in subject.inputs if not is_url(i) and (subject.start / i).is_dir()]
    words = [(file, n, word) for file, n, some in _code_words(subject) for word in sorted(some)]
    for path in subject.programs if folders else ():
        words += [(path, *opened) for opened in _opened(read_bytes(path) or b"")]
    for file, number, word in words if folders else ():
        for item in folders:
            top = PurePosixPath(item).name
            rest = word.removeprefix(f"{top}/")
            if _top(word) in subject.arrives:
                continue
            if item.endswith("/") and rest != word and (subject.start / item / rest).exists():
                message = f"{word} arrives as {rest}: the slash of {item} brings no folder"
                fix = f"write {rest} here, or {item.rstrip('/')} in transfer_input_files"
                yield Found(file, number, message, fix, about=word)
            inside = "." in word and (subject.start / item / word).is_file()
            if not item.endswith("/") and inside and not (subject.start / word).exists():
                fix = f"write {top}/{word} here, or {item}/ in transfer_input_files"
                yield Found(file, number, f"{word} arrives as {top}/{word}", fix, about=word)


def _code_words(subject: Subject) -> Iterator[tuple[Path, int, frozenset[str]]]:
    """Yield the words of the worker scripts' lines that look like paths, and of the arguments."""
    for script in subject.scripts:
        for number, words in _script_words(script):
            yield script.path, number, words
    command = subject.job.command("arguments")
    if command is not None:
        try:
            arguments = split_arguments(subject.meaning.arguments.text)
        except QuotingError:
            return
        pairs = zip(("", *arguments), arguments, strict=False)
        words = frozenset(
            w.removeprefix("./")
            for before, w in pairs
            if not w.startswith("-") and not _OUTPUT_OPTION.match(before)
        )
        yield command.file, command.line, words


@lru_cache(maxsize=64)
def _script_words(script: Script) -> tuple[tuple[int, frozenset[str]], ...]:
    """Return each line's words, up to where files come into being that cannot be known here.

    That is where the script changes to a folder by name, or unpacks or clones something.
    """
    made = made_by_script(script)
    lines: list[tuple[int, frozenset[str]]] = []
    for number, line in script.code:
        if FILES_APPEAR.search(line):
            break
        if not _TALK.match(line) and not _PACKS.match(line):
            words = frozenset(w for w in _words(line) if _top(w) not in made)
            lines.append((number, words))
    return tuple(lines)


@lru_cache(maxsize=4096)
def _words(line: str) -> frozenset[str]:
    """Return the words of a line that look like paths; scripts share most of their lines."""
    code = re.split(r"\s#", line)[0]
    code = re.sub(r"\$\{?(?:PWD|_CONDOR_SCRATCH_DIR)\}?/", " ", code)
    code = re.sub(rf"{_OUTPUT_OPTION.pattern.split('$')[0]}[= ]+\S+", " ", code)
    paths = (m for m in _PATH.finditer(code) if code[: m.start()][-1:] not in _NO_PATH)
    return frozenset(m[0].removeprefix("./").rstrip(".") for m in paths)


_NO_PATH = ("$", "{", "/", "-", "~", ":")
"""What stands before a word that is no path, or the end of one."""


@lru_cache(maxsize=8192)
def _top(word: str) -> str:
    """Return the first part of a path; empty for the folder itself."""
    return next(iter(PurePosixPath(word).parts), "")


_MAKES = re.compile(
    r"(?:git\s+clone|touch|tee(?:\s+-a)?|-o|-O|--output(?:-document)?=?|>>?)"
    r"\s*[\"']?([\w./-]+)"
)
_MAKES_FOLDERS = re.compile(r"\bmkdir\s([^;&|#]*)")
_FETCHES = re.compile(
    r"(?:^|[\s;&|(])(?:wget|curl|cp|mv|ln|scp|rsync|xrdcp|stashcp|gfal-copy)\s(.*)"
)


@lru_cache(maxsize=64)
def made_by_script(script: Script) -> frozenset[str]:
    """Return the first parts of paths that a script makes itself, or fetches from elsewhere.

    It makes them with mkdir, a redirection, `-o`; it fetches what a URL or a path of another folder
    ends with, and where a copy goes to.
    """
    made: set[str] = set()
    for _, line in script.code:
        made |= {_top(path.removeprefix("./")) for path in _MAKES.findall(line)}
        for words in _MAKES_FOLDERS.findall(line):
            folders = (word.strip("\"'") for word in words.split() if word[0] != "-")
            made |= {_top(folder.removeprefix("./")) for folder in folders}
        for words in _FETCHES.findall(line):
            operands = [w.strip("\"'") for w in re.split(r"[;&|]", words)[0].split() if w[0] != "-"]
            made |= {PurePosixPath(w).name for w in operands if "/" in w}
            made |= {_top(w.removeprefix("./")) for w in operands[1:][-1:]}
    return frozenset(made - {"", "."})


class _Mention(NamedTuple):
    """A file that the job uses and nobody transfers."""

    file: Path
    line: int
    name: str
    certain: bool
    """The job cannot do without it, as far as can be seen: an interpreter runs it, or a program
    that travels imports it before it does anything else."""


def _mentioned(subject: Subject) -> Iterator[_Mention]:
    """Yield each file that the job uses and nobody transfers."""
    seen: set[tuple[Path, str]] = set()
    named = (*subject.inputs, *subject.meaning.items("transfer_output_files"))
    known = frozenset(PurePosixPath(item).name for item in named)
    installed: set[str] = set()
    if subject.project is not None and subject.delivery == "bootstrap":  # PS506 speaks of them
        installed = {subject.project.manifest.name, subject.project.lock.name}
    for file, line, words in _code_words(subject):
        for word in sorted(words - installed):
            if (file, word) in seen or not _stays_here(subject, word, known):
                continue
            seen.add((file, word))
            certain = not subject.brings_unseen and _is_run(subject, file, line, word)
            yield _Mention(file, line, word, certain)
    yield from _read_by_programs(subject)
    for path in subject.programs:
        for module, source in _beside(path):
            if source.name not in subject.arrives:
                certain = module.at_once and not subject.brings_unseen
                yield _Mention(path, module.line, subject.shown(source), certain)


@within_review
def _beside(program: Path) -> tuple[tuple[Imported, Path], ...]:
    """Return the modules that a program imports and that lie beside it, with their files."""
    modules: list[tuple[Imported, Path]] = []
    for module in imported(read_bytes(program) or b""):
        if module.name in sys.stdlib_module_names:
            continue  # Python's own is there, whatever lies here under its name
        source, package = program.with_name(f"{module.name}.py"), program.with_name(module.name)
        if source.is_file():
            modules.append((module, source))
        elif (package / "__init__.py").is_file():
            modules.append((module, package))
    return tuple(modules)


_RUNS = r"(?:python[0-9.]*|(?:ba|da|z|k)?sh|Rscript|julia|perl|torchrun|source|\.)"


def _is_run(subject: Subject, file: Path, line: int, word: str) -> bool:
    """Whether a line runs a file at once: as a program, or as the first word after one."""
    script = next((s for s in subject.scripts if s.path == file), None)
    if script is None:  # in the arguments: the program may make of it what it likes
        return False
    code = script.lines[line - 1]
    name = rf"(?:\./)?{re.escape(word)}"
    return re.match(rf"(?:exec\s+)?(?:{_RUNS}\s+)?[\"']?{name}(?![\w./-])", code) is not None


def _stays_here(subject: Subject, word: str, known: frozenset[str]) -> bool:
    """Whether a word names a file here that stays; known: the names of inputs and outputs."""
    if not ("." in word or "/" in word) or word.rpartition("/")[2] in known:
        return False
    if word in subject.arrives or _top(word) in subject.arrives or leaves(word):
        return False
    if f"{_top(word)}/" in subject.inputs:
        return False  # PS210 speaks of it
    path = subject.start / word if _is_file(subject.start, word) else None
    return path is not None and path.resolve() != subject.description.path.resolve()


_is_file: Callable[[Path, str], bool] = within_review(lambda start, name: (start / name).is_file())


_OPENS = re.compile(
    r"(?:^|\.)(?:open|read_\w+|load\w*|imread|genfromtxt|fromfile|File|Path|ImageFolder|safe_load|readlines)$"
)


def _read_by_programs(subject: Subject) -> Iterator[_Mention]:
    """Yield files here that a program opens by a name of its own, and that do not travel."""
    for path in subject.programs:
        for line, name in _opened(read_bytes(path) or b""):
            parts = PurePosixPath(name).parts
            stays = subject.arrives.isdisjoint((parts[0], parts[-1]))
            stays = stays and f"{parts[0]}/" not in subject.inputs  # PS210 speaks of it
            if stays and _is_file(subject.start, name):
                yield _Mention(path, line, name, certain=False)


@lru_cache(maxsize=256)
def _opened(source: bytes) -> tuple[tuple[int, str], ...]:
    """Return the relative names that a program opens to read, with their lines."""
    named = ((call, call.first.removeprefix("./")) for call in calls(source))
    return tuple(
        (call.line, name)
        for call, name in named
        if name and _OPENS.search(call.name) and not name.startswith(("/", "../", "~"))
        if not re.search(r"'(?:[wax][bt+]*)'", call.text.partition(",")[2])  # it writes
    )
