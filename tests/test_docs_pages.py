"""The pages of docs/how-to, done as they say: each shell block from its first command to its last."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.conftest import git
from tests.support.index import index, make_wheel
from tests.support.paths import REPOSITORY
from tests.support.pool import Pool, condor_prefix
from tests.test_walkthrough import code, commands

HOW_TO = REPOSITORY / "docs" / "how-to"
PAGES = sorted([REPOSITORY / "README.md", *REPOSITORY.glob("docs/**/*.md")])
INLINE = sorted(
    {
        (page.relative_to(REPOSITORY).as_posix(), " ".join(words.split()))
        for page in PAGES
        if page.name != "commands.md"  # its headings name commands without their arguments
        for words in re.findall(r"`(pixi-scaffold [^`]+)`", page.read_text(encoding="utf-8"))
    }
)
ELSEWHERE = {
    "pool.md": "between its commands a job has to get somewhere: done in test_pool.py",
    "add-a-site.md": "no command in a block",
}
JOB = "executable = /bin/sleep\\narguments = 1\\nrequest_memory = 1GB\\nlog = j.log\\nqueue\\n"
MADE = "pixi-scaffold new myproject --defaults --no-check && cd myproject && "
LOCKED = f"{MADE} pixi-scaffold lock && git add pixi.lock && git commit -qm Lock"
ADD = "sed -i '/^{1} = /a {0} = \"*\"' pixi.toml && pixi-scaffold lock && git commit -qam Add-{0}"
CONDA = "name: p\\nchannels: [conda-forge]\\ndependencies: [python=3.12, pytorch, pip, {pip: [einops]}]\\n"


@pytest.mark.parametrize(("page", "command"), INLINE)
def test_a_command_in_a_sentence_has_options_that_there_are(page: str, command: str) -> None:
    """It is read as the program would read it, and not run."""
    from pixi_scaffold.cli.commands import COMMANDS, load

    words = shlex.split(command.partition(" # ")[0])[1:]
    if words[0] in ("--version", "--help", "--install-completion"):
        return
    assert words[0] in COMMANDS, (page, command)
    one, rest = load(words[0]), words[1:]
    for name in [rest[0]] if hasattr(one, "commands") and rest else []:
        one, rest = one.commands[name], rest[1:]
    one.make_context("pixi-scaffold", rest)  # raises for what it does not take


Shell = Callable[..., str]


@pytest.fixture
def shell(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Do a page in a shell: what is unseen before it, then its commands as they are written."""
    monkeypatch.setenv("PIXI_SCAFFOLD_TEMPLATE", str(template))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("GIT_PAGER", "cat")
    for key in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{key}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{key}_EMAIL", "ada@localhost")

    def do(
        page: str,
        before: str = "true",
        codes: Mapping[str, int] | None = None,
        *,
        terminal: bool = False,
    ) -> str:
        """codes: of the commands that do not end with 0, by their beginning; -1: left out."""
        wanted = dict(codes or {})
        script = f"set -e\n{before}\nset +e\n"
        shown = [command for command, _ in commands((HOW_TO / page).read_text(encoding="utf-8"))]
        assert shown
        for command in shown:
            start = max((c for c in wanted if command.startswith(c)), key=len, default="")
            code = wanted.get(start, 0)
            if code >= 0:
                script += f"echo '$ '{command!r}\n{command}\nended=$?\n"
                script += f"[ $ended = {code} ] || {{ echo wanted {code}, not $ended; exit 99; }}\n"
        out = tmp_path / "out.log"
        argv = ["bash", "-c", script]
        if terminal:  # util-linux's; what is typed is Enter
            argv = ["script", "--quiet", "--return", "--command", shlex.join(argv), "/dev/null"]
        with out.open("wb") as file:
            done = subprocess.run(
                argv, cwd=tmp_path, input=b"\n" * 9, stdout=file, stderr=file, check=False
            )
        said = out.read_text(errors="replace")
        assert done.returncode == 0, said
        return said

    return do


LOCK_PAGES = {
    "merge-a-lock.md": (
        f"{LOCKED} && git switch -qc topic && {ADD.format('parso', 'python')} && "
        f"git switch -q main && {ADD.format('pathspec', 'tqdm')}",
        {"git merge": 1, "git commit": 0},
        "merged",
    ),
    "review-a-lock.md": (
        f"{LOCKED} && sed -i '/^numpy = /a pandas = \"*\"' pixi.toml && pixi-scaffold lock",
        {},
        "pandas",
    ),
}


@pytest.mark.slow
@pytest.mark.usefixtures("conda_forge")
@pytest.mark.parametrize("page", LOCK_PAGES)
def test_a_page_on_locks(shell: Shell, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_EDITOR", "true")
    before, codes, says = LOCK_PAGES[page]
    assert says in shell(page, before, codes)


@pytest.mark.slow
@pytest.mark.usefixtures("conda_forge")
def test_the_page_on_checks(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an access point answers is answered by a pool."""
    for name in ("YOUR.sub", "YOUR-FOLDER/one.sub"):
        path = tmp_path / "theirs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(JOB.replace("\\n", "\n"))
    (tmp_path / "theirs" / "YOUR.dag").write_text("JOB A YOUR.sub\n")
    before = f"{LOCKED} && cp -r ../theirs/. ."
    before += " && sed -i 's/--lr /--rate /; s/^request_cpus/request_cpu/' htcondor/train.sub"
    with Pool(condor_prefix(), tmp_path / "pool") as pool:
        for name, value in pool.env.items():
            monkeypatch.setenv(name, value)
        out = shell("check.md", before, {"pixi-scaffold check": 3, **dict.fromkeys(
            ("pixi-scaffold check YOUR", "pixi-scaffold site"), 0)})  # fmt: skip
    assert "PS218: main.py refuses these arguments: unrecognized arguments: --rate" in out
    assert "slots match" in out


@pytest.mark.slow
@pytest.mark.usefixtures("conda_forge")
def test_the_page_on_packages_of_pypi(shell: Shell, tmp_path: Path) -> None:
    """Its names are served here: the real wheels are hundreds of megabytes, and others every month."""
    page, wheels = "add-a-pypi-package.md", tmp_path / "wheels"
    make_wheel(wheels, "robosuite", "1.5.1", ["numpy>=1.23", "termcolor"])
    make_wheel(wheels, "httpx", "0.28.1", ["h2>=3 ; extra == 'http2'"])
    for name in ("termcolor", "h2"):
        make_wheel(wheels, name, "4.0")
    with index(wheels.iterdir()) as running:
        (block,) = code((HOW_TO / page).read_text(encoding="utf-8"), "toml")
        lines = f'\n{block}\n[pypi-options]\nindex-url = "{running.url}"\n'
        (tmp_path / "lines.toml").write_text(lines)
        out = shell(page, f"{MADE} cat ../lines.toml >>pixi.toml")
    assert "pixi.lock" in out
    lock = (tmp_path / "myproject" / "pixi.lock").read_text()
    locked = re.findall(r"(?m)^- pypi: .*/([a-z0-9]+)-[^/]*\.whl", lock)
    assert sorted(locked) == ["h2", "httpx", "robosuite", "termcolor"]  # numpy is conda's


@pytest.mark.slow
@pytest.mark.usefixtures("offline")
def test_the_page_on_adoption(shell: Shell) -> None:
    before = "git init -qb main p && cd p && echo 'import torch' >train.py && "
    before += f"printf '{CONDA}' >environment.yml && git add . && git commit -qm Start"
    assert "pixi-scaffold-adopt" in shell("adopt.md", before)


@pytest.mark.slow
@pytest.mark.usefixtures("offline", "starter")
def test_the_page_on_machines_without_a_network(shell: Shell, tmp_path: Path) -> None:
    out = shell("offline.md")
    assert "myproject is ready" in out
    assert (tmp_path / "my-channel" / "noarch" / "repodata.json").is_file()


@pytest.mark.slow
@pytest.mark.usefixtures("offline", "starter")
def test_the_page_on_a_template_of_ones_own(
    shell: Shell, template: Path, tmp_path: Path, user: Path
) -> None:
    """git's own insteadOf has the server on this machine."""
    server = tmp_path / "server" / "lab" / "pixi-scaffold.git"
    git(tmp_path, "clone", "--quiet", "--bare", str(template), str(server))
    git(server, "tag", "--delete", "v1.0.0")
    place = f'[url "file://{tmp_path}/server/"]\n\tinsteadOf = https://git.example.org/\n'
    (user / "gitconfig").write_text(place + "[push]\n\tautoSetupRemote = true\n")
    before = "git clone -q https://git.example.org/lab/pixi-scaffold.git fork && cd fork && "
    before += "echo '# of our pool' >>includes/sites/chtc.sub"
    assert "myproject is ready" in shell("lab-template.md", before)
    answers = (tmp_path / "fork" / "myproject" / ".copier-answers.yml").read_text()
    assert "_src_path: https://git.example.org/lab/pixi-scaffold.git" in answers
    assert "_commit: v1.0.0" in answers


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.usefixtures("offline", "starter")
def test_the_pages_on_a_project_that_is_proved(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "answers.yml").write_text(code((HOW_TO / "scripts.md").read_text(), "yaml")[0])
    shell("scripts.md", "mkdir -p other && cp answers.yml other && cd other")
    assert '"ok": true' in (tmp_path / "other" / "receipt.json").read_text()
    shell("rehearse.md", "pixi-scaffold new myproject --defaults && cd myproject")
    out = shell("run.md", "cd myproject")
    assert "passed" in out
    assert "report.html" in shell("report.md", "cd myproject")


@pytest.mark.slow
def test_the_page_on_updates(shell: Shell, template: Path, tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    git(tmp_path, "clone", "--quiet", str(template), str(lab))
    git(lab, "tag", "--delete", "v1.0.0")
    git(lab, "tag", "v0.2.0")
    for version, line in (("v0.3.0", "# a newer version"), ("v0.4.0", "# the newest")):
        with (lab / "template" / "ruff.toml").open("a") as file:
            file.write(f"{line}\n")
        git(lab, "commit", "--quiet", "--all", "-m", version)
        git(lab, "tag", version)
    before = "pixi-scaffold new myproject --template ./lab --vcs-ref v0.2.0 --no-check --defaults; "
    before += "cd myproject; echo '# mine' >>main.py; git commit -qam Mine; cd .."
    conflicts = {"pixi-scaffold update --continue": -1, "pixi-scaffold update --abort": -1}
    codes = {"pixi-scaffold status": 3, "pixi-scaffold status --heal": 0}  # it has no lock
    codes |= conflicts
    shell("update.md", before, codes, terminal=True)
    assert "# the newest" in (tmp_path / "myproject" / "ruff.toml").read_text()


def test_every_page_is_done_or_named() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    pages = {page.name for page in HOW_TO.glob("*.md")}
    assert {page for page in pages if f'"{page}"' not in text} == set()
    assert set(ELSEWHERE) <= pages
