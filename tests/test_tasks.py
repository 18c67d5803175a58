"""Running tasks: the shell's grammar, what is done already, the terminal and signals, activation.

How Pixi's shell behaves was read in its source (deno_task_shell 0.33) and asked of Deno, which has the
same; what Pixi itself printed is in test_tasks_as_pixi.py.
"""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pixi_scaffold.cli.app import app
from pixi_scaffold.tasks.grammar import parse
from pixi_scaffold.tasks.scope import Scope, Streams
from pixi_scaffold.tasks.script import ScriptError
from pixi_scaffold.tasks.shell import Shell
from pixi_scaffold.tasks.values import seconds, shell_words
from tests.support.processes import working_in

HEAD = (
    '[workspace]\nname = "t"\nchannels = ["conda-forge"]\nplatforms = ["linux-64", "osx-arm64"]\n'
)

#: Fails once the file `over` is there: what runs beside it has printed by then, however slow the machine.
FAILS_LAST = "sh -c 'until test -e over; do sleep 0.01; done; exit 3'"


def shell(text: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Run a script; return its exit code and what it printed."""
    scope = Scope.of({"PATH": os.environ["PATH"], "HOME": "/home/me"}, folder)
    code = Shell().run(parse(text), scope, Streams(stdin=os.open(os.devnull, os.O_RDONLY)))
    printed = capfd.readouterr()
    return code, printed.out, printed.err


@pytest.mark.parametrize(
    ("text", "printed", "code"),
    [
        ('A="x   y"; echo "[$A]"', "[x y]\n", 0),  # split in quotes, too
        ("echo ~ ~/a a~", "/home/me /home/me/a a~\n", 0),
        ('echo "~"', "/home/me\n", 0),
        ("echo {a,b}{1..3}", "a1 a2 a3 b1 b2 b3\n", 0),
        ("echo {3..1} {a..c} {x} {1..5..2} '{a,b}'", "3 2 1 a b c {x} 1 3 5 {a,b}\n", 0),
        (r"echo a\ b \$A \"q\" \x", 'a b $A "q" \\x\n', 0),
        ('echo "a\\\\b"', "a\\\\b\n", 0),  # two backslashes stay two
        ("echo `echo in`", "in\n", 0),
        ("echo $(echo a; echo b)", "a b\n", 0),
        ("A=1 sh -c 'echo $A'; echo [$A]", "1\n[]\n", 0),
        ("A=1; sh -c 'echo [$A]'", "[]\n", 0),  # not exported
        ("export A=1; A=2; sh -c 'echo $A'", "2\n", 0),
        ("(cd sub && pwd | xargs basename); pwd | xargs basename", None, 0),
        ("! true", "", 1),
        ("! false && echo yes", "yes\n", 0),
        ("true && false || echo no", "no\n", 0),
        ("false && echo a && echo b || echo c", "c\n", 0),
        ("set -e; false; echo no", "", 1),
        ("set -o pipefail; false | true; echo $?", "1\n", 0),
        ("exit", "", 1),
        ("exit 300", "", 44),
        ("sleep -1; sleep nan", "", 0),  # as Deno, which counts milliseconds without a sign
        ("exit x", "", 2),
        ("(exit 3); echo $?", "3\n", 0),
        ("exit 3 | true; echo on", "on\n", 0),
        ("echo a # b\n# c\n\necho d", "a\nd\n", 0),
        ("echo a \\\n  b", "a b\n", 0),
        ("false &&\n echo x || echo y", "y\n", 0),
        (f"{FAILS_LAST} & echo on && echo > over", "on\n", 3),  # a failure behind `&` counts
        (f"{FAILS_LAST} & sleep 20 && echo never & echo on && echo > over", "on\n", 3),  # and ends the rest
        ("export HOME=/a && HOME=/b echo ~ && HOME=/b $(echo echo ~)", "/a\n/a\n", 0),
        ("mkdir bin && echo '#!/usr/bin/env ../to' > bin/s && echo '#!/bin/sh' > to; ./bin/s", "", 1),
        ("echo '#!/usr/bin/env -S sh -e' > s && echo 'echo $1' >> s && ./s hi", "hi\n", 0),
        ("echo '#!/usr/bin/env no program' > s; ./s", "", 127),
        ("echo *.none", "*.none\n", 0),
        ("shopt -s failglob; echo *.none", "", 1),
        ("shopt -s nullglob; echo a *.none", "a\n", 0),
        ("echo */*.TXT", "sub/s.txt sub/t.txt\n", 0),  # without case
        ("echo **/s.txt", "sub/s.txt\n", 0),
        ("echo 'sub'/[st].txt sub/[!s].txt", "sub/s.txt sub/t.txt sub/t.txt\n", 0),
        ("cat < sub/s.txt", "s\n", 0),
        ("sh -c 'echo out; echo err >&2' &> f && cat f", "out\nerr\n", 0),
        ("sh -c 'echo err >&2' 2>&1 | cat", "err\n", 0),
        ("sh -c 'echo err >&2' |& cat", "err\n", 0),
        ("echo a > f; echo b >> f; cat f; echo c >| f; cat f", "a\nb\nc\n", 0),
        ("yes | head -n 2", "y\ny\n", 0),
        ("cat sub/s.txt nothere", "s\n", 1),
        ("test a = a && test ! -e nothere && test 2 -lt 10", "", 0),
        ("test 1 -eq x", "", 2),
        ("mkdir a/b", "", 1),
        ("mkdir -p a/b && cp sub/s.txt a && mv a/s.txt a/b && cat a/b/s.txt", "s\n", 0),
        ("cp sub there", "", 1),
        ("cp -r sub there && rm -r there/t.txt && echo there/*", "there/s.txt there/two.txt\n", 0),
        ("rm nothere", "", 1),
        ("rm -f nothere && unset A && echo a b | xargs echo", "a b\n", 0),
        ("printf 'a:b' | xargs -d : echo", "a b\n", 0),
        ("no-such-program", "", 127),
        ("$NOTHING", "", 1),
        ("sh -c 'kill -9 $$'", "", 137),
        ("!cmd", "", 1),
        ("echo $?; false; echo $?", "\n1\n", 0),
        (r"echo \|\&\;\>\< && echo a\\;echo b", "|&;><\na\\\\\nb\n", 0),  # not the last of two
        ("echo a (echo b)", "a\nb\n", 0),
        ("cd sub && echo .* ../sub/.h* .?", "..  .hidden.txt ../sub/.hidden.txt ..\n", 0),
        ("sh -c 'echo out; echo err >&2' 2>&1", "out\n", 0),  # only through a pipe or into a file
        ("cat sub sub/s.txt", "", 1),
        # it reads 512 bytes at once, and the next one what is left, as in Deno
        ("yes abcdefg | head -n 300 > big; (head -n 1; cat) < big | wc -c | xargs echo", "1896\n", 0),
        ("head -n -1 sub/two.txt; head --lines=1 sub/two.txt", "1\n1\n", 0),
    ],
)  # fmt: skip
def test_the_shell_behaves_as_in_its_source(
    text: str, printed: str | None, code: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "s.txt").write_text("s\n")
    (tmp_path / "sub" / "t.txt").write_text("t\n")
    (tmp_path / "sub" / "two.txt").write_text("1\n2\n")
    (tmp_path / "sub" / ".hidden.txt").write_text("")
    if "*.TXT" in text or "[st]" in text:
        (tmp_path / "sub" / "two.txt").unlink()
    expected = f"sub\n{tmp_path.name}\n" if printed is None else printed
    ended, out, _ = shell(text, tmp_path, capfd)
    assert (ended, out) == (code, expected)


def files_in(folder: Path) -> dict[str, str | None]:
    """What lies in a folder: text, or None for a folder."""
    return {
        str(path.relative_to(folder)): path.read_text() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.mark.slow
def test_random_scripts_do_what_they_do_in_deno(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What `deno task --eval` of Deno 2.9.6 made of them: it has the shell of Pixi 0.77, 0.33.3."""
    home, differences = tmp_path / "home", []
    home.mkdir()
    for number, line in enumerate(
        Path(__file__).with_name("data").joinpath("task-shell.jsonl").read_text().splitlines()
    ):
        row, folder = json.loads(line), tmp_path / str(number)
        (folder / "sub").mkdir(parents=True)
        start = {
            "sub/s.txt": "s\n",
            "sub/t.txt": "t\n1\n2\n",
            "a.txt": "A\n",
            "b.md": "B\n",
            ".h": "",
        }
        for name, text in start.items():
            (folder / name).write_text(text)
        variables = {"PATH": os.environ["PATH"], "HOME": str(home), "V": "val ue", "G": "*.txt"}
        try:
            script = parse(row["text"])
        except ScriptError:
            if "refused" not in row:
                differences.append((row, "refused"))
            continue
        if "refused" in row:
            differences.append((row, "read"))
            continue
        nothing = os.open(os.devnull, os.O_RDONLY)
        code = Shell().run(script, Scope.of(variables, folder), Streams(stdin=nothing))
        os.close(nothing)
        out = capfd.readouterr().out.replace(str(folder), "D").replace(str(home), "HOME")
        files = {**start, "sub": None, **row.get("made", {})}
        files = {name: text for name, text in files.items() if name not in row.get("gone", ())}
        if (code, out, files_in(folder)) != (row["code"], row["stdout"], files):
            differences.append((row, (code, out, files_in(folder))))
    assert not differences, differences[:5]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Empty command."),
        ("# nothing", "Empty command."),
        ("for i in 1 2; do echo $i; done", "Unsupported reserved word."),
        ("echo a>b", "Unexpected character."),
        ("echo 'a", "Expected closing single quote."),
        ('echo "a', "Expected closing double quote."),
        ("echo $(a", "Expected closing parenthesis for command substitution."),
        ("(a", "Expected closing parenthesis on subshell."),
        ("a && ", "Expected command following boolean operator."),
        ("a |", "Expected command following pipeline operator."),
        ("a > ", "Expected redirect path."),
        ("a > b 2> c", "Multiple redirects are currently not supported."),
        ("echo $$", "$$ is currently not supported."),
        ("echo ~root", "Unsupported tilde expansion."),
        ("A=1 B=2", "Cannot set multiple environment variables"),
        ("cat <<EOF", "Expected redirect path."),
        ("a ;; b", "Unexpected character."),
    ],
)
def test_what_the_shell_has_not_is_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(ScriptError) as caught:
        parse(text)
    assert caught.value.reason.startswith(reason)


def run(*args: str) -> int:
    """Run `pixi-scaffold run` in this process; return its exit code."""
    return int(app(["run", *args], standalone_mode=False) or 0)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to put a manifest into; it is the current one."""
    monkeypatch.chdir(tmp_path)
    for name in ("PIXI_IN_SHELL", "PIXI_ENVIRONMENT_NAME", "PIXI_PROJECT_ROOT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_arguments_have_defaults_choices_and_names(
    workspace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (workspace / "pixi.toml").write_text(
        HEAD
        + """
[tasks.one]
cmd = "echo {{ how }} {{ often }} {{ pixi.environment.name }} {{ pixi.is_win }}"
args = [{ arg = "how", choices = ["fast", "slow"] }, { arg = "often", default = "once" }]
[tasks]
path = { depends-on = [{ task = "one", args = ["fast", "{{ pixi.init_cwd }}"] }] }
all = { depends-on = [{ task = "one", args = ["slow", { often = "twice" }] }, { task = "one", args = ["fast"] }] }
given = { args = ["x"], depends-on = [{ task = "one", args = ["{{ x }}"] }] }
wrong = { depends-on = [{ task = "one", args = [{ never = "1" }] }] }
undefined = "echo {{ nothing }}"
"""
    )
    assert run("all") == 0
    assert capfd.readouterr().out == "slow twice default False\nfast once default False\n"
    assert run("given", "slow") == 0
    assert capfd.readouterr().out == "slow once default False\n"
    assert run("one", "slow", "--", "-v", "a b") == 0
    assert capfd.readouterr().out == "slow once default False -v a b\n"
    for args, said in (
        (("one", "medium"), "'medium' is no value for 'how'\nnext: use one of: fast, slow"),
        (("one",), "needs a value for 'how', one of: fast, slow"),
        (("wrong",), "has no argument 'never'"),
        (("undefined",), "cannot fill in 'echo {{ nothing }}': undefined value"),
        (
            ("path",),
            "cannot fill in '{{ pixi.init_cwd }}'",
        ),  # known only to commands (task_graph.rs)
    ):
        assert run(*args) == 1
        assert said in capfd.readouterr().err


def test_arguments_may_have_any_name(workspace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Also those that Python's functions have for their own parameters; `pixi` stays what it is."""
    (workspace / "pixi.toml").write_text(
        HEAD
        + """
[tasks.one]
cmd = "echo {{ self }} {{ name }} {{ source }} {{ range }} {{ pixi.environment.name }}"
args = ["self", "name", "source", "range", "pixi"]
"""
    )
    assert run("one", "a", "b", "c", "d", "e") == 0
    assert capfd.readouterr().out == "a b c d default\n"


def test_templates_are_filled_in_as_by_the_engine_of_pixi(
    workspace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Minijinja, and not Jinja: it has other filters, writes lists as JSON, knows no methods.

    A line break at the end of a template goes, so that what is given stays on the command's line.
    """
    (workspace / "pixi.toml").write_text(
        HEAD
        + """
[tasks]
parts = { cmd = "echo {{ x | split(',') | join(' and ') }} {{ x is startingwith('a') }}", args = ["x"] }
listed = "echo '{{ [1, 'b'] }}'"
method = { cmd = "echo {{ x.upper() }}", args = ["x"] }
lines = '''
echo first
echo last
'''
"""
    )
    assert run("parts", "a,b") == 0
    assert capfd.readouterr().out == "a and b True\n"
    assert run("listed") == 0
    assert capfd.readouterr().out == '[1, "b"]\n'
    assert run("method", "a") == 1
    assert "string has no method named upper" in capfd.readouterr().err
    assert run("lines", "more") == 0
    assert capfd.readouterr().out == "first\nlast more\n"
    assert run('echo "a\\$HOME" # b') == 0
    assert capfd.readouterr().out == f"a{os.environ['HOME']}\n"
    assert run("--templated", "-x", "echo '{{ pixi.environment.name }}  x'") == 0
    assert capfd.readouterr().out == "default  x\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("foo$baz", ["foo$baz"]),
        ('foo "bar"baz', ["foo", "barbaz"]),
        ("   foo \nbar", ["foo", "bar"]),
        ("foo\\\nbar", ["foobar"]),
        ('"foo\\\nbar"', ["foobar"]),
        ("'baz\\$b'", ["baz\\$b"]),
        ("'baz\\''", None),
        ("\\", None),
        ('"\\', None),
        ("'", None),
        ('"', None),
        ("foo #bar\nbaz", ["foo", "baz"]),
        ("foo#bar", ["foo#bar"]),
        ('foo"#bar', None),
        ("'\\\\n'", ["\\\\n"]),
        ('"\\$HOME \\x"', ["$HOME \\x"]),
        ("a\\ b ''", ["a b", ""]),
    ],
)
def test_a_command_that_is_one_text_is_taken_apart_as_rust_does(
    text: str, words: list[str] | None
) -> None:
    """Most are the vectors of the shlex crate's own tests, by which Pixi takes it apart."""
    assert shell_words(text) == words


def test_a_task_runs_in_the_environment_that_has_it(
    workspace: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace / "pixi.toml").write_text(
        HEAD
        + """
[tasks]
where = "echo $PIXI_ENVIRONMENT_NAME $CONDA_DEFAULT_ENV"
there = { depends-on = [{ task = "where", environment = "other" }, "where"] }
home = { cmd = "echo $PIXI_ENVIRONMENT_NAME", default-environment = "other" }
[feature.other.tasks]
only = "echo $PIXI_ENVIRONMENT_NAME"
[feature.twice.tasks]
only = "echo twice"
[feature.mac.target.osx-arm64.tasks]
apple = "echo apple"
[feature.linux.target.linux-64.tasks]
apple = "echo penguin"
[environments]
other = ["other"]
second = ["twice"]
mac = ["mac"]
"""
    )
    assert run("where") == 0
    assert capfd.readouterr().out == "default t\n"
    assert run("there") == 0
    assert capfd.readouterr().out == "other t:other\ndefault t\n"
    assert run("home") == 0
    assert capfd.readouterr().out == "other\n"
    assert run("-e", "other", "only") == 0
    assert capfd.readouterr().out == "other\n"
    monkeypatch.setenv("PIXI_IN_SHELL", "1")  # as a task of that environment sees it
    monkeypatch.setenv("PIXI_ENVIRONMENT_NAME", "other")
    assert run("where") == 0
    assert capfd.readouterr().out == "other t:other\n"
    monkeypatch.setenv("PIXI_PROJECT_ROOT", "/elsewhere")  # of another workspace
    assert run("only") == 1
    assert "in several environments: other, second" in capfd.readouterr().err
    if sys.platform == "linux":
        assert run("apple") == 1
        assert "not available on this machine; it is in: mac" in capfd.readouterr().err


def test_a_task_is_done_until_its_inputs_outputs_or_command_change(
    workspace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    task = '[tasks]\nmake = { cmd = "echo made >> log && cp src/a.txt out.txt", inputs = ["src/**/*.txt", "!src/no.txt"], outputs = ["out.txt"] }\n'
    manifest = workspace / "pixi.toml"
    manifest.write_text(HEAD + task)
    (workspace / "src").mkdir()
    (workspace / "src" / "a.txt").write_text("1")

    def times() -> int:
        assert run("make") == 0
        return (workspace / "log").read_text().count("made")

    assert (times(), times()) == (1, 1)
    assert "done before" in capfd.readouterr().err
    (workspace / "src" / "no.txt").write_text("left out")
    assert times() == 1
    (workspace / "src" / "deep").mkdir()
    (workspace / "src" / "deep" / "b.txt").write_text("new")
    assert (times(), times()) == (2, 2)
    (workspace / "out.txt").write_text("changed")
    assert (times(), times()) == (3, 3)
    manifest.write_text(HEAD + task.replace("echo made", "echo  made"))
    assert (times(), times()) == (4, 4)
    assert run("make", "more") == 1  # cp a b out.txt: another call, and it fails
    assert run("make", "more") == 1
    manifest.write_text(HEAD + task.replace('"out.txt"]', '"nothing.txt"]'))
    assert (times(), times()) == (7, 8)
    assert "no file matches nothing.txt; it will run again" in capfd.readouterr().err


def test_activation_has_pixi_s_order(workspace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """As measured of Pixi 0.77.0: packages, scripts, activation.env; a feature's before the workspace's."""
    (workspace / "pixi.toml").write_text(
        HEAD
        + """
[tasks]
show = { cmd = "echo $JSON $PACKAGE $SCRIPT $A $LIB $OWN", env = { OWN = "$A-own" } }
[activation]
scripts = ["w.sh", "missing.sh"]
env = { A = "workspace", LIB = "$CONDA_PREFIX/lib", OVER = "$SCRIPT" }
[feature.f.activation]
scripts = ["f.sh"]
env = { A = "feature" }
[environments]
f = ["f"]
"""
    )
    prefix = workspace / ".pixi" / "envs" / "f"
    for folder in ("activate.d", "env_vars.d"):
        (prefix / "etc" / "conda" / folder).mkdir(parents=True)
    (prefix / "conda-meta").mkdir()
    (prefix / "etc/conda/env_vars.d/a.json").write_text('{"JSON": "1"}')
    (prefix / "etc/conda/env_vars.d/b.json").write_text('{"JSON": "2"}')
    (prefix / "etc/conda/activate.d/p.sh").write_text("export PACKAGE=p$JSON\nfalse\n")
    (workspace / "f.sh").write_text("export SCRIPT=$PACKAGE-f\n")
    (workspace / "w.sh").write_text("export SCRIPT=$SCRIPT-w\necho noise\n")
    expected = f"2 p2 p2-f-w feature {prefix}/lib feature-own\n"
    assert run("-e", "f", "show") == 0
    assert capfd.readouterr().out == expected
    kept = workspace / ".pixi" / "scaffold-tasks" / "activation-f.json"
    before = kept.read_text()
    assert run("-e", "f", "show") == 0
    assert capfd.readouterr().out == expected
    assert kept.read_text() == before
    (prefix / "etc/conda/activate.d/p.sh").write_text("export PACKAGE=changed\n")
    assert run("-e", "f", "show") == 0
    assert capfd.readouterr().out == expected.replace("p2", "changed")
    assert kept.stat().st_mode & 0o077 == 0 or kept.parent.stat().st_mode & 0o077 == 0


def test_a_task_may_run_another_one_from_any_folder(
    workspace: Path,
    tmp_path_factory: pytest.TempPathFactory,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (workspace / "pixi.toml").write_text(HEAD + '[tasks]\na = "echo a in $INIT_CWD"\n')
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    assert run("a") == 2
    assert "nor above it" in capfd.readouterr().err
    monkeypatch.setenv("PIXI_IN_SHELL", "1")  # as in a task of that workspace
    monkeypatch.setenv("PIXI_PROJECT_MANIFEST", str(workspace / "pixi.toml"))
    assert run("a") == 0
    assert capfd.readouterr().out == f"a in {elsewhere}\n"


def test_what_is_listed_says_what_it_is_for(
    workspace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (workspace / "pixi.toml").write_text(
        HEAD
        + '[tasks]\na = { cmd = "x", description = "Does it" }\n_h = "y"\nbb = { depends-on = ["a"] }\n'
        '[feature.f.tasks]\nc = "z"\n[environments]\nf = ["f"]\n'
    )
    assert run("--list") == 0
    assert capfd.readouterr().out == "a   Does it\nbb  runs a\nc   (in f) z\n"
    assert run() == 0
    assert "Does it" in capfd.readouterr().out
    assert run("nothing-of-it") == 127
    assert "tasks: a, bb, c" in capfd.readouterr().err


def test_an_environment_with_packages_needs_a_lock(
    workspace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (workspace / "pixi.toml").write_text(HEAD + '[dependencies]\nzlib = "*"\n[tasks]\na = "x"\n')
    assert run("a") == 1
    said = capfd.readouterr().err
    assert "there is no pixi.lock" in said
    assert "lock" in said.split("next: ")[1]


PROGRAM = """
import os, signal, sys, time
def stop(number, frame):
    os.write(1, f"got {signal.Signals(number).name}\\n".encode())
    os._exit(5)
for one in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
    signal.signal(one, stop)
print("tty", os.isatty(0), os.isatty(1), flush=True)
print("read", input(), flush=True)
time.sleep(60)
"""


def read_until(handle: int, wanted: bytes, seconds: float = 600) -> bytes:
    data, end = b"", time.monotonic() + seconds
    while wanted not in data and time.monotonic() < end:
        if select.select([handle], [], [], 0.2)[0]:
            try:
                data += os.read(handle, 4096)
            except OSError:  # the terminal is closed
                break
    assert wanted in data, data
    return data


def test_a_terminal_and_ctrl_c_pass_through(workspace: Path) -> None:
    (workspace / "pixi.toml").write_text(HEAD + f'[tasks]\nask = "{sys.executable} ask.py"\n')
    (workspace / "ask.py").write_text(PROGRAM)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-m", "pixi_scaffold", "run", "ask"])
    read_until(terminal, b"tty True True")
    os.write(terminal, b"hello\n")
    read_until(terminal, b"read hello")
    os.write(terminal, b"\x03")
    read_until(terminal, b"got SIGINT")
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_signals_reach_the_program(workspace: Path, number: signal.Signals) -> None:
    (workspace / "pixi.toml").write_text(
        HEAD + f'[tasks]\nask = "{sys.executable} ask.py; echo after"\n'
    )
    (workspace / "ask.py").write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, "-m", "pixi_scaffold", "run", "ask"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"hello\n")
        process.stdin.flush()
        read_until(process.stdout.fileno(), b"read hello")
        process.send_signal(number)
        rest = process.stdout.read().decode()
        process.wait(600)
    assert f"got {number.name}" in rest
    stops = number is not signal.SIGUSR1  # a signal that ends programs ends the script, too
    assert ("after" in rest) is not stops
    assert process.returncode == (128 + number if stops else 0)


def test_check_trains_with_the_same_shell(workspace: Path) -> None:
    """A task that bash would take and Pixi's shell does not is refused there, too."""
    from pixi_scaffold.environment import Installed
    from pixi_scaffold.errors import ScaffoldError
    from pixi_scaffold.report import Silent
    from pixi_scaffold.tasks import run_task
    from pixi_scaffold.workspace import read_manifest

    manifest = workspace / "pixi.toml"
    manifest.write_text(
        HEAD
        + '[tasks]\nprepare = "echo prepared"\ngood = { cmd = "echo $B; sh -c \'exit 3\'", env = { B = "b" }, depends-on = ["prepare"] }\nbash = "[[ a = a ]] && for i in 1; do echo $i; done"\n'
    )
    parsed = read_manifest(manifest)
    installed = Installed(workspace / ".pixi" / "envs" / "default", parsed.platforms[0], 0)
    lines: list[str] = []
    done = run_task(parsed, installed, "default", "good", Silent(), lines.append)
    assert (done.code, lines) == (3, ["prepared", "b"])
    with pytest.raises(ScaffoldError, match="no script of Pixi's task shell"):
        run_task(parsed, installed, "default", "bash", Silent(), lines.append)
    with pytest.raises(ScaffoldError, match="has no task 'none'"):
        run_task(parsed, installed, "default", "none", Silent(), lines.append)


def test_what_is_kept_is_no_secret_of_the_manifest(workspace: Path) -> None:
    """The folder of what is kept lies in .pixi, which git ignores by Pixi's own .gitignore."""
    (workspace / "pixi.toml").write_text(HEAD + '[tasks]\na = "true"\n')
    assert run("a") == 0
    folder = workspace / ".pixi" / "scaffold-tasks"
    assert json.loads((folder / "platforms.json").read_text())["facts"]["default"][1] is True


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        ('a = "python gone.py --x"', "pixi.toml:6: task a: there is no gone.py"),
        ('a = "echo b && bash tools/gone.sh"', "task a: there is no tools/gone.sh"),
        ('a = { cmd = "./gone", cwd = "sub" }', "task a: there is no sub/gone"),
        ('a = { cmd = "x", cwd = "nowhere" }', "task a: runs in nowhere, which is no folder"),
        (
            'a = { cmd = "true", depends-on = ["none"] }',
            "task a: depends on none, which is no task",
        ),
        (
            'b = "true"\na = { cmd = "true", depends-on = [{ task = "b", environment = "none" }] }',
            "pixi.toml:7: task a: depends on b in none, which is no environment",
        ),
        (
            'b = { cmd = "echo {{ x }}", args = ["x"] }\na = { depends-on = ["b"] }',
            "task a: the task 'b' needs a value for 'x'",
        ),
        ('a = "for i in 1; do echo $i; done"', "does not take it: Unsupported reserved word."),
        ('a = "echo {{ nothing }}"', "cannot fill in 'echo {{ nothing }}'"),
        ('a = "no-such-program x"', "there is no program no-such-program in default"),
        ('a = "echo $(no-such-program)"', "there is no program no-such-program in default"),
    ],
)
def test_check_finds_what_a_task_needs_that_is_not_there(
    workspace: Path, capfd: pytest.CaptureFixture[str], tasks: str, said: str
) -> None:
    (workspace / "pixi.toml").write_text(f"{HEAD}[tasks]\n{tasks}\n")
    (workspace / "sub").mkdir()
    (workspace / ".pixi" / "envs" / "default" / "conda-meta").mkdir(parents=True)  # installed
    assert app(["check", "--only", "tasks"], standalone_mode=False) == 3
    assert said in " ".join(capfd.readouterr().out.split())


def test_check_is_silent_where_nothing_is_missing_or_known(
    workspace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (workspace / "main.py").write_text("")
    (workspace / "pixi.toml").write_text(
        HEAD
        + """
[tasks]
good = "python main.py && python -m something"
made = { cmd = "sh make.sh > gen.py", outputs = ["gen.py"] }
uses = { cmd = "python gen.py", depends-on = ["made"] }
copies = "cp main.py copy.py && python copy.py"
there = "cd sub && python elsewhere.py"
given = { cmd = "python {{ file }}", args = ["file"] }
variable = "python $SCRIPT"
[feature.f.tasks]
tool = "tool-of-an-environment-that-is-not-installed"
[environments]
f = ["f"]
"""
    )
    (workspace / "make.sh").write_text("")
    assert not app(["check", "--only", "tasks"], standalone_mode=False)
    assert "tasks: passed" in capfd.readouterr().out


def test_options_stand_before_the_task(workspace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (workspace / "pixi.toml").write_text(
        HEAD
        + '[tasks]\necho = { cmd = "echo task", depends-on = ["first"] }\nfirst = "echo first"\n'
        'quoted = "echo it"\n'
    )
    assert run("-x", "echo", "-n") == 0  # what stands behind is the command's
    assert capfd.readouterr().out == "-n\n"
    assert run("--skip-deps", "echo") == 0
    assert capfd.readouterr().out == "task\n"
    assert run("--dry-run", "echo", "x") == 0
    told = capfd.readouterr()
    assert (told.out, told.err) == ("", "task first: echo first\ntask echo: echo task x\n")
    assert run("--templated", "echo {{ pixi.environment.name }}", "x") == 127
    assert run("-x", "--templated", "echo", "{{ pixi.environment.name }}") == 0
    assert capfd.readouterr().out == "default\n"
    assert run("-x", "echo", "{{ pixi.environment.name }}") == 0
    assert capfd.readouterr().out == "{{ pixi.environment.name }}\n"
    assert run("quoted", "it's") == 1  # as in Pixi, which quotes it so: 'it's'
    assert "Expected closing single quote" in capfd.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_ctrl_c_while_check_trains_ends_what_the_task_started(workspace: Path) -> None:
    """Nobody talks to that program: a signal to check ends it, and what it started."""
    (workspace / "pixi.toml").write_text(
        HEAD + "[tasks]\nlong = \"sh -c 'sleep 9998 & sleep 9999'\"\n"
    )
    code = (
        "from pathlib import Path\n"
        "from pixi_scaffold.environment import Installed\n"
        "from pixi_scaffold.report import Silent\n"
        "from pixi_scaffold.tasks import run_task\n"
        "from pixi_scaffold.workspace import read_manifest\n"
        "w = read_manifest(Path('pixi.toml').absolute())\n"
        "i = Installed(Path('env').absolute(), w.platforms[0], 0)\n"
        "print('go', flush=True)\n"
        "try: run_task(w, i, 'default', 'long', Silent(), print)\n"
        "except KeyboardInterrupt: print('interrupted', flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "go\n"
        end = time.monotonic() + 600
        while not any("sleep" in line for line in working_in(workspace).values()):
            assert time.monotonic() < end, "the task does not begin"
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "interrupted\n"
    assert not working_in(workspace)


def test_a_package_that_the_stand_in_lacks_is_named(
    workspace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Pixi refuses a lock that lacks it; a program would say only that a module is not there."""
    tables = '[dependencies]\nzlib = "*"\n[pypi-dependencies]\neinops = "*"\n'
    (workspace / "pixi.toml").write_text(HEAD + tables)
    (workspace / ".pixi" / "starter").mkdir(parents=True)
    lock = (
        "version: 6\nenvironments:\n  default:\n    channels: []\n    packages:\n"
        "      linux-64: []\npackages: []\n"
    )
    (workspace / ".pixi" / "starter" / "pixi.lock").write_text(lock)
    assert run("python") == 1
    said = capfd.readouterr().err
    assert "pixi.toml asks for zlib, einops, which the lock that stands in" in said


def test_an_environment_that_the_stand_in_lacks_is_named(
    workspace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tables = '[feature.d.dependencies]\nzlib = "*"\n[environments]\nd = ["d"]\n'
    (workspace / "pixi.toml").write_text(HEAD + tables)
    (workspace / ".pixi" / "starter").mkdir(parents=True)
    lock = (
        "version: 6\nenvironments:\n  default:\n    channels: []\n    packages: {}\npackages: []\n"
    )
    (workspace / ".pixi" / "starter" / "pixi.lock").write_text(lock)
    assert run("-e", "d", "python") == 1
    said = capfd.readouterr().err
    assert "the environment d: it is not in the lock that stands in for pixi.lock" in said
    assert "next: once its channels can be reached: " in said


def test_a_sleep_without_end_is_one_that_threads_can_wait_for() -> None:
    """Deno's milliseconds end at the largest number that they can have."""
    assert seconds("1e308d") == seconds("inf") > 1e9
    assert threading.Lock().acquire(timeout=seconds("inf"))  # a longer one is an OverflowError
