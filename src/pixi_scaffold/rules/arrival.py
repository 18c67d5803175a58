"""Rules on inputs that arrive and do not work there, and on results that do not come back."""

import difflib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import PurePosixPath

from pixi_scaffold.rules.exit_code import joined
from pixi_scaffold.rules.finding import Found, Severity, at, rule
from pixi_scaffold.rules.programs import calls_of, imported, matches, unreadable_at
from pixi_scaffold.rules.subject import LONGEST, Subject, is_url
from pixi_scaffold.rules.texts import read_bytes, table
from pixi_scaffold.rules.travel import FILES_APPEAR, made_by_script
from pixi_scaffold.rules.trouble import trouble

_SCHEMES = (
    "osdf", "pelican", "stash", "http", "https", "ftp", "file", "s3", "gs", "box", "gdrive", "data",
    "onedrive", "docker", "oras", "root", "xroot", "xrootd", "gsiftp", "srm", "dav", "davs", "igwn",
)  # fmt: skip
"""What plugins of HTCondor, the OSPool, CHTC, CERN and LIGO fetch."""
_FOLDERS = ("ospool", "chtc", "igwn")
"""First folders of OSDF that people have a place in."""
_PAGES = re.compile(
    r"https?://(?:github\.com/[^/]+/[^/]+/(?:blob|tree)/|gitlab\.\S+/-/blob/|drive\.google\.com/"
    r"|docs\.google\.com/|(?:www\.)?dropbox\.com/\S+dl=0|\S*sharepoint\.com/|huggingface\.co/\S+/blob/)"
)


@rule("PS220", Severity.WARNING)
def url_that_gives_no_file(subject: Subject) -> Iterator[Found]:
    """A URL that gives no file."""
    meant = subject.meaning
    names = ("transfer_input_files", "container_image", "transfer_output_files")
    urls = {name: meant.items(name) for name in (*names, "output_destination")}
    for name, items in {**urls, "transfer_output_remaps": meant.remaps.values()}.items():
        for item in items if (command := subject.job.command(name)) else ():
            problem = _problem(item)
            if is_url(item) and name == "transfer_output_files":
                problem = "names no file of the job", 'write transfer_output_remaps = "NAME = URL"'
            if problem is not None and command is not None:
                yield at(command, f"{item} {problem[0]}", problem[1], about=item)


def _problem(item: str) -> tuple[str, str] | None:
    """Return why a URL gives no file, and what to write; None where it may."""
    scheme = item.partition("://")[0].lower().rpartition("+")[2]
    if not is_url(item):
        return None
    if scheme not in _SCHEMES and (near := difflib.get_close_matches(scheme, _SCHEMES, n=1)):
        return f"has a scheme that no plugin knows: {scheme}", f"did you mean {near[0]}://?"
    top = re.match(r"(?:osdf|pelican|stash):/+([a-z]{2,7})/", item)
    near = difflib.get_close_matches(top[1], _FOLDERS, 1, 0.8) if top else []
    if top and near and near[0] != top[1]:
        return f"has a first folder that OSDF hardly has: {top[1]}", f"did you mean {near[0]}?"
    if _PAGES.match(item):
        return "is the address of a page, not of the file", "take the address of the raw file"
    return None


_STARTS = re.compile(r"(?:^|[;&|]\s*|\b(?:then|do|else|exec|time)\s+)\./([\w.-]+)(?=\s|$|[;&|])")


@rule("PS221", Severity.WARNING)
def helper_not_executable(subject: Subject) -> Iterator[Found]:
    """The worker script starts an input that may not be run."""
    script = subject.worker
    if script is None or not subject.transfers or b"./" not in script.data:
        return
    modes = {path.name: path for path in subject.files if path != subject.executable}
    for number, line in joined(script):
        if re.search(r"\bchmod\b", line):
            return
        for matched in _STARTS.finditer(line):
            path = modes.get(matched[1])
            if path is not None and not os.access(path, os.X_OK):
                message = f"{matched[1]} arrives without the permission to run: exit code 126"
                fix = f"chmod +x {subject.shown(path)}"
                yield Found(script.path, number, message, fix, about=matched[0].strip())


_BINARIES = re.compile(r"(?:python[0-9.]*|Rscript|R|julia|perl|node|java|matlab|octave|ruby)$")


@rule("PS222", Severity.WARNING)
def environment_that_cannot_move(subject: Subject) -> Iterator[Found]:
    """An interpreter, or a virtual environment, that does not work where it arrives."""
    if not subject.surely_transfers:
        return
    for command, name in subject.said("executable"):
        data = subject.executable_data
        alone = "/" in name and (data is None or data[:4] == b"\x7fELF")
        if alone and subject.executable is not None and _BINARIES.match(PurePosixPath(name).name):
            message = f"{name} is copied to the worker alone, without its library"
            fix = "transfer_executable = false, or a script that runs it"
            severity = Severity.NOTE if name.startswith("/usr/bin/") else None
            yield at(command, message, fix, severity=severity)
    for command, _ in subject.said("transfer_input_files"):
        for path in subject.input_files:
            venv = path / "pyvenv.cfg" if path.is_dir() else path.with_name("pyvenv.cfg")
            if venv.is_file():
                name = path.name
                message = f"{name} is a virtual environment, which works only where it was made"
                fix = "pixi-scaffold pack, conda-pack, or an image"
                yield at(command, message, fix, about=name)


@rule("PS316", Severity.WARNING)
def python_cannot_read_it(subject: Subject) -> Iterator[Found]:
    """A program that Python cannot read."""
    for path in subject.programs:
        data = read_bytes(path) or b""
        number, why = unreadable_at(data)
        if number and not re.match(rb"#!.*python2", data) and b"\n<<<<<<< " not in b"\n" + data:
            version = ".".join(map(str, sys.version_info[:2]))
            message = f"Python {version} cannot read this: {why}"
            yield Found(path, number, message, "correct the line")
    for script in subject.scripts:
        for number, line in joined(script) if b".ipynb" in script.data else ():
            if matched := re.search(r"\bpython[0-9.]*\s+(?:-\S+\s+)*\S+\.ipynb\b", line):
                fix = "jupyter nbconvert --to script, here, and run what that gives"
                message = "a notebook is no program"
                yield Found(script.path, number, message, fix, about=matched[0])


_SETS_UP = re.compile(
    r"\b(?:conda|mamba|micromamba|module|pixi|uv|poetry|apptainer|singularity|docker|spack|cvmfs|lcg"
    r"|PYTHONPATH|PATH=|pip[0-9.]*|venv|virtualenv|source)\b|^\s*\.\s|\btar\b|\bunzip\b|/cvmfs/|/bin/activate",
    re.MULTILINE,
)


@rule("PS317", Severity.WARNING)
def nothing_brings_the_import(subject: Subject) -> Iterator[Found]:
    """A package that nothing brings along, or Python itself."""
    alone = subject.universe == "vanilla" and not subject.delivery and not subject.brings_unseen
    if not (alone and subject.surely_transfers) or subject.meaning.getenv.text:
        return
    first = (subject.executable_data or b"").split(b"\n", 1)[0]
    shebang = re.match(rb"#!\s*/usr/bin/(?:env\s+)?python[0-9.]*\s*$", first)
    scripts = "\n".join("\n".join(line for _, line in s.code) for s in subject.scripts)
    if not (shebang or subject.worker) or _SETS_UP.search(scripts):
        return
    if subject.meaning.of("environment").text.find("PATH=") >= 0:
        return
    common = frozenset(table("modules")["common"].split())
    for path in subject.programs:
        for module in imported(read_bytes(path) or b""):
            local = f"{module.name}.py" in subject.arrives or module.name in subject.arrives
            if module.at_once and module.name in common and not local:
                message = f"nothing brings {module.name} to the worker: no image, no environment"
                fix = "container_image = ..., or an environment that travels"
                yield Found(path, module.line, message, fix, about=module.name)
                return
    yield from trouble(subject, "PS317")


_MADE = re.compile(r"(?:^|[;&|]\s*)mkdir\s+(?:-\S+\s+)*[\"']?(\w[\w.-]*)/?[\"']?(?=\s|$|[;&|/])")


@rule("PS223", Severity.NOTE)
def folder_stays_on_the_worker(subject: Subject) -> Iterator[Found]:
    """A folder of results that does not come back."""
    script = subject.worker
    named = subject.where("transfer_output_files", "output_destination")
    if script is None or named is not None or not subject.transfers:
        return
    commands = joined(script)
    text = "\n".join(line for _, line in commands)
    moved = r"tar\s+-?\w*c|zip|cp|mv|rsync|rm\s+-\w*r|xrdcp|gfal-copy|stashcp|cd|pushd"
    if re.search(rf"\b(?:{moved})\b", text):
        return
    for number, line in commands:
        if matched := _MADE.search(line):
            message = f"{matched[1]} does not come back: HTCondor brings new files, and no folders"
            fix = f"transfer_output_files = {matched[1]}"
            yield Found(script.path, number, message, fix, about=matched[1])
            return


_WRITES = re.compile(r"(?<![0-9&>])>>?\s*[\"']?(?:\./)?([\w-][\w.-]*)/[\w.$-]")
_SAVES = re.compile(
    r"^(?:open\('([\w-][\w.-]*)/[^']*', (?:mode=)?'[wax]"
    r"|(?:[\w.]*(?:to_(?:csv|json|pickle|excel|html)|savefig|savetxt|write_(?:text|bytes|html))"
    r"|(?:np|numpy|torch)\.save)\((?:[^']*, )?'([\w-][\w.-]*)/[^'*]*')"
)
"""What makes no folders; others do, such as to_zarr, or save of a model."""
_MAKES_ANY = re.compile(r"\binstall\s+-d|\bcopytree|\bgit\s+clone|\bunpack|\b(?:cd|pushd|chdir)\b")
"""What makes folders whose names are not seen."""
_MAKES_ONE = re.compile(
    r"\bmkdir(?:\s+-\S+)*(?:\s+[\"']?[\w./-]+[\"']?)+\s*(?:$|[;&|#])"
    r"|\b(?:mkdir|makedirs)\(\s*[\"'][\w./-]+[\"']\s*[,)]|Path\([\"'][\w./-]+[\"']\)\.mkdir\("
)


def _may_make_any(line: str) -> bool:
    """Whether a line may make a folder of any name: what it makes stands in a variable."""
    line = line[:LONGEST].lstrip()
    if _MAKES_ANY.search(line):
        return True
    makes = re.search(r"\b(?:mkdir|makedirs)\b", line) and not line.startswith(("import ", "from "))
    return bool(makes) and _MAKES_ONE.search(line) is None


@rule("PS225", Severity.WARNING)
def folder_is_missing_there(subject: Subject) -> Iterator[Found]:
    """The job writes into a folder that does not arrive."""
    if not subject.surely_transfers or subject.brings_unseen or subject.worker is None:
        return
    texts = {path: read_bytes(path) or b"" for path in subject.files}
    lines = (line for text in texts.values() for line in text.decode(errors="replace").splitlines())
    known = (line for line in lines if not line.lstrip().startswith("#"))
    if subject.universe in ("local", "scheduler") or any(map(_may_make_any, known)):
        return
    script = subject.worker
    places = [(script.path, *place) for place in matches(_WRITES, script)]
    for path in subject.programs:
        places += [(path, *p) for p in matches(_SAVES, calls_of(read_bytes(path) or b""))]
    arrive = {*subject.arrives, *(part for i in subject.inputs for part in i.split("/")), ".", ".."}
    for path, number, line, matched in places:
        folder = next(filter(None, matched.groups()))
        named = re.compile(rb"(?<![\w-])" + re.escape(folder.encode()) + rb"(?![\w-])")
        before = texts.get(path, b"").splitlines()[: number - 1]
        before.append(line[: matched.start(matched.lastindex or 0)].encode())
        others = [*before, *(text for other, text in texts.items() if other != path)]
        if FILES_APPEAR.search(line) or folder in arrive or any(map(named.search, others)):
            continue  # what names it before may make it, as --outdir does
        message = f"the job has no folder {folder} there, and nothing makes it"
        yield Found(path, number, message, f"mkdir -p {folder}, in the script", about=f"{folder}/")
        return


_UNPACKS = re.compile(
    r"(?:^|[;&|]\s*)(?:tar\s+(?:-?[A-Za-z]*x[A-Za-z]*)\s+|tar\s+-\S+\s+-f\s+|unzip\s+(?:-\S+\s+)*"
    r"|gunzip\s+|(?:source|\.)\s+)[\"']?([A-Za-z0-9_][\w./-]*)[\"']?"
)


@rule("PS224", Severity.WARNING)
def file_is_missing_there(subject: Subject) -> Iterator[Found]:
    """The worker script unpacks or reads in a file that does not arrive."""
    script = subject.worker
    image = subject.universe in ("container", "docker")
    if script is None or not subject.surely_transfers or image:
        return
    made = made_by_script(script)
    folder = any(path.is_dir() for path in subject.input_files)
    for number, line in joined(script):
        for matched in _UNPACKS.finditer(line):
            name = matched[1].removeprefix("./")
            top = PurePosixPath(name).parts[0]
            known = top in subject.arrives or top in made or (subject.start / name).exists()
            if not known and not folder and not any("$" in i or is_url(i) for i in subject.inputs):
                message = f"{name} is not transferred, and nothing here makes it"
                yield Found(script.path, number, message, "transfer it", about=matched[0].strip())
        fetches = re.search(r"\b(?:git|wget|curl|cp|rsync|module|python\S*)\s", line)
        if fetches or FILES_APPEAR.search(line):
            return


_GOES = re.compile(
    r"\s*(?:cd|pushd)\s+(?:--\s+)?[\"']?([\w.][\w./-]*)[\"']?\s*(?:$|;|&&|\|\|\s*(?:exit|fail|die|\{))"
)
_MAKES_NOTHING = re.compile(
    r"\s*(?:(?:set|export|echo|printf|date|hostname|ls|pwd|module|ulimit|unset|nvidia-smi|sleep|touch"
    r"|trap|umask|shopt|chmod|free|df|whoami|uname|which|local|declare)(?![\w.-])"
    r"|env\s*(?:$|[;|>])|mkdir\s(?![^;&|]*[${*`])|(?:conda|source|\.)\s+\S*activate"
    r"|cd\s+[\"']?\$\{?(?:_CONDOR_SCRATCH_DIR|PWD)\}?[\"']?\s*$"
    r"|[A-Za-z_]\w*=(?:\"[^\"`(]*\"|'[^']*'|[^\s`(\"';&|]*)\s*(?:$|;|&&|#)|#|$)"
)


def _from_each_command(line: str) -> Iterator[str]:
    """Yield what is left of a line from each of its commands on."""
    plain = re.sub(r"'[^']*'|\"(?:\\.|[^\"\\])*\"", lambda m: "x" * len(m[0]), line)
    yield from (line[matched.end() :] for matched in re.finditer(r"^|;|&&|\|\|?", plain))


_PACKS = re.compile(
    r"\s*tar\s+-?(?:[zjJv]*c[zjJv]*f)\s+[\w./-]+\s+[\"']?([\w][\w./-]*)[\"']?\s*(?:$|;|&&|\|\|)"
)


@rule("PS227", Severity.WARNING)
def folder_to_go_into_is_missing(subject: Subject) -> Iterator[Found]:
    """The worker script goes into, or packs, a folder that does not arrive."""
    script, keeps = subject.worker, subject.meaning.of("preserve_relative_paths").value is True
    here = subject.universe in ("local", "scheduler")
    if script is None or not subject.surely_transfers or keeps or here:
        return
    arrive = {*subject.arrives, *made_by_script(script), "", ".."}
    commands = ((n, rest) for n, line in joined(script) for rest in _from_each_command(line))
    for number, command in commands:
        goes, packs = _GOES.match(command), _PACKS.match(command)
        if matched := goes or packs:
            folder = matched[1]
            name = next(iter(PurePosixPath(folder).parts), "")
            if name not in arrive and not any("$" in item for item in subject.inputs):
                slash = next((i for i in subject.inputs if PurePosixPath(i).name == name), "")
                missing = name if packs else f"folder {name}"
                message = f"the job has no {missing} there, and nothing makes it"
                if slash:
                    message = f"{slash} brings what is in it, and no folder {name}"
                fix = f"write {slash.rstrip('/') or name} in transfer_input_files"
                about = matched[0].strip() if packs else f"cd {folder}"
                yield Found(script.path, number, message, fix, about=about)
            return
        if not _MAKES_NOTHING.match(command):
            return
