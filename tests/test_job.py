"""Reading submit descriptions: compared with HTCondor's own parser, and against hostile input."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixi_scaffold.job import (
    Description,
    QuotingError,
    meaning,
    parse_runtime,
    parse_size,
    read_description,
    split_arguments,
    split_environment,
)
from pixi_scaffold.job.macros import expand
from pixi_scaffold.job.queue import ITEMS_LIMIT
from pixi_scaffold.job.reader import QUEUES_LIMIT
from pixi_scaffold.rules import Subject, check_subject, without_suppressed

linux = pytest.mark.skipif(sys.platform != "linux", reason="HTCondor's bindings are for Linux")

ACCEPTED = [
    "a = 1 \\\n# foo\nb = 2\nqueue\n",
    "a = 1 \\\n# foo \\\n x\nb = 2\nqueue\n",
    "# c \\\nb = 2\nqueue\n",
    "a = 1\na = $(a) 2\nqueue\n",
    "A = 1\nb = $(A)\nA = 2\nqueue\n",
    "if true\na=1\nelse\na=2\nendif\nqueue\n",
    "if true\na=1\nqueue\n",
    "if $(x)\na=1\nelif defined y\na=3\nelse\na=2\nendif\nqueue\n",
    "if version >= 8.1\na=1\nendif\nqueue\n",
    "if ! defined x\nif no\na=1\nelse\na=2\nendif\nendif\nqueue\n",
    "+Foo = bar\nMY.baz = 1\n-Old = 3\nqueue\n",
    "x @=end\nline 1\nline 2\n@end\nqueue\n",
    "x += 3\nx +=4\ny +,= a\ny +,= b\nz +&&= a\nz +&&= b\nqueue\n",
    "queue 3\nb = 2\nqueue 4\n",
    "a = $(a:5)\nqueue\n",
    "$(x)a = 3\nqueue\n",
    "warning : hi\nqueue\n",
    "a = 1\r\nqueue\r\n",
    "a == 1\nqueue\n",
    "a=1 # c\nqueue\n",
    "my.a=1\n+A=2\nqueue\n",
    "request_memory=1\nRequest_Memory=2\nqueue\n",
    "a=1\n\\\nqueue\n",
    "if 1\n:a = 1\nendif\nqueue\n",
    "error = a:b\nqueue\n",
]  # fmt: skip
REFUSED = [
    "a\nqueue\n", "a b = 3\nqueue\n", "a : 3\nqueue\n", "queue=3\nqueue\n", "a-b = 3\nqueue\n",
    "include : nope.inc\nqueue\n", "error : hi\nqueue\n", "  a = 1", "= 1\nqueue\n",
    "+ a=1\nqueue\n", "a @ 1\nqueue\n", "a + 1\nqueue\n", "[x]\nqueue\n", "endif\nqueue\n",
    "else\nqueue\n", "if foo bar\nendif\nqueue\n", "if\na=1\nendif\nqueue\n", "x @=end\nqueue\n",
]  # fmt: skip


def read(text: str, folder: Path) -> Description:
    path = folder / "job.sub"
    path.write_bytes(text.encode("utf-8", errors="surrogateescape"))
    return read_description(path, folder)


def htcondor_reads(text: str) -> dict[str, str] | None:
    """What HTCondor's own parser makes of a description; None when it refuses it."""
    import htcondor2

    try:
        submit = htcondor2.Submit(text)
    except ValueError:
        return None
    return {key.lower(): value for key, value in submit.items()}


def refused(description: Description) -> bool:
    return any(p.kind == "refused" for p in description.problems)


@linux
@pytest.mark.parametrize("text", [*ACCEPTED, *REFUSED])
def test_reads_what_htcondor_reads(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mine, theirs = read(text, tmp_path), htcondor_reads(text)
    assert (theirs is None) == (text in REFUSED)
    assert refused(mine) == (theirs is None), mine.problems
    if theirs is not None:
        assert dict(mine.jobs[0].macros) == theirs


@linux
@pytest.mark.parametrize(
    "text",
    [
        "$(b)", "$(b:2)", "$(c:2)", "$(c: 2 )", "$(b.c)", "$($(b))", "$(c$(b):5)", "$(c:$(b))",
        "$(c:x(y)z)", "$(c:$(b) )", "$( b )", "$(b )", "$(c :2)", "$( c:2)", "$(b $(b))", "$(c-d)",
        "$(c-d:7)", "$(", "$(b", "$(b $(b)", "$(b $Fn(p)", "$Fn(p) $F(p) $Fx(p) $Fp(p)", "$CHOICE(b,x,y)",
        "$(p:$(q", "$()", "$(:3)", "$(b)$", "$$(b) $(b)", "$INT(b)", "$INT(b,%03d)", "$INT(-1.7)",
        "$INT(2*3)", "$INT(7/2)", "$INT(-7/2)", "$INT(7/2.0)", "$INT(b, %5d)", "$INT(b,%-5d)", "$INT( 3 )",
        "$REAL(0.5)", "$REAL(b,%.2f)", "$REAL(1e20)", "$REAL(1/3.0)", "$REAL(123456789012345678)",
    ],
)  # fmt: skip
def test_macros_are_expanded_as_htcondor_does(text: str) -> None:
    import htcondor2

    macros = {"b": "1", "p": "one/two.txt"}
    lines = "".join(f"{name} = {value}\n" for name, value in macros.items())
    theirs = htcondor2.Submit(f"{lines}x = [{text}]\n").expand("x")
    assert expand(f"[{text}]", macros).text == theirs


# --- macros, queue statements, words ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("queue", "total", "first", "last"),
    [
        ("queue", 1, {}, {}),
        ("queue 3", 3, {}, {}),
        ("queue x in (a, b c)", 3, {"x": "a"}, {"x": "c"}),
        ("queue 2 x in a, b", 4, {"x": "a"}, {"x": "b"}),
        (
            "queue x, y from (\n1, 2\n# a comment\n3 4 5\n)",
            2,
            {"x": "1", "y": "2"},
            {"x": "3", "y": "4 5"},
        ),
        ("queue from items.txt", 2, {"Item": "one 1"}, {"Item": "two 2"}),
        (
            "queue name, n from [:1] items.txt",
            1,
            {"name": "one", "n": "1"},
            {"name": "one", "n": "1"},
        ),
        ("queue f matching files *.txt", 1, {"f": "items.txt"}, {"f": "items.txt"}),
        ("queue d matching dirs *", 1, {"d": "sub/"}, {"d": "sub/"}),
        ("n = 4\nqueue $(n)", 4, {}, {}),
        ("QUEUE 2", 2, {}, {}),
        ("queue x in (\na\nb\n)", 2, {"x": "a"}, {"x": "b"}),
        # Tables: as condor_submit -dry-run of 25.14.1 made them.
        ("queue from table t.csv", 2, {"a": "1", "b": "2"}, {"a": "3", "b": "4 x"}),
        ("queue c from TABLE t.csv", 2, {"a": "1", "b": "2"}, {"a": "3", "b": "4 x"}),
        ("queue from table [0:1] t.csv", 1, {"a": "1", "b": "2"}, {"a": "1", "b": "2"}),
        ("queue from table(csv) t.csv", 3, {"Item": "a,b"}, {"Item": "3,4 x"}),
        ("queue from table items.txt", 2, {"Item": "one 1"}, {"Item": "two 2"}),
    ],
)
def test_queue_statements(
    tmp_path: Path, queue: str, total: int, first: dict[str, str], last: dict[str, str]
) -> None:
    (tmp_path / "items.txt").write_text("one 1\ntwo 2\n")
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3,4 x\n")
    (tmp_path / "sub").mkdir()
    found = read(f"executable = x\n{queue}\n", tmp_path)
    [job] = found.jobs
    assert found.problems == ()
    assert job.queue.total == total
    own = {k.lower(): v for k, v in first.items()}
    assert own.items() <= job.variables(0).items()
    assert {k.lower(): v for k, v in last.items()}.items() <= job.variables(total - 1).items()
    with pytest.raises(IndexError):
        job.variables(total)


@pytest.mark.parametrize(
    ("value", "text", "undefined", "unknown"),
    [
        ("$(name)-$(Cluster)-$(Process)", "one-1-0", (), ()),
        ("$(nope)x", "x", ("nope",), ()),
        ("$(nope:5)", "5", (), ()),
        ("$(name:5)", "one", (), ()),
        ("$(nope:$(name))", "one", (), ()),
        ("$(deep)", "a one b", (), ()),
        ("$ENV(HOME)", "$ENV(HOME)", (), ("$ENV(HOME)",)),
        ("$$(Memory)", "$$(Memory)", (), ("$$(Memory)",)),
        ("$RANDOM_CHOICE(1,2)", "$RANDOM_CHOICE(1,2)", (), ("$RANDOM_CHOICE(1,2)",)),
        ("$Fn(path) $Fx(path) $Fnx(path) $Fp(path)", "c .txt c.txt a/b/", (), ()),
        ("$BASENAME(path) $DIRNAME(path)", "c.txt a/b/", (), ()),
        ("$CHOICE(Process,x,y)", "x", (), ()),
        ("$SUBSTR(path,2,1)", "b", (), ()),
        ("$SUBSTR(path,2)", "b/c.txt", (), ()),
        ("$SUBSTR(path,-3)", "txt", (), ()),
        ("$(loop)", "", (), ("$(loop)",)),
        ("$(DOLLAR)x", "$x", (), ()),
        ("$(open", "$(open", (), ()),
        ("$INT(name)", "", ("$INT(name)",), ()),
        ("$INT(1,%s)", "%s", (), ()),
        ("$INT(deeper)", "", ("$INT(deeper)",), ("$INT(deeper)",)),
        ("$INT(1,%999999d)", "$INT(1,%999999d)", (), ("$INT(1,%999999d)",)),
    ],
)
def test_macros(
    tmp_path: Path, value: str, text: str, undefined: tuple[str, ...], unknown: tuple[str, ...]
) -> None:
    head = "name = one\ndeep = a $(name) b\npath = a/b/c.txt\nloop = $(pool)\npool = $(loop)\n"
    head += "deeper = $INT(deeper)\n"
    job = read(f"{head}queue\n", tmp_path).jobs[0]
    expanded = job.expand(value)
    assert (expanded.text, expanded.undefined, expanded.unknown) == (text, undefined, unknown)


def test_lines_and_names_are_kept(tmp_path: Path) -> None:
    (tmp_path / "more.inc").write_text("\nrequest_cpus = 2\n")
    found = read(
        '# a comment\nExecutable = run.sh\narguments = a \\\n  b\n+Flavour = "x"\n'
        "include : more.inc\nTransferInputFiles = f\nqueue\n",
        tmp_path,
    )
    places = {c.name: (c.file.name, c.line, c.last) for c in found.commands}
    assert places == {
        "executable": ("job.sub", 2, 2),
        "arguments": ("job.sub", 3, 4),
        "my.flavour": ("job.sub", 5, 5),
        "request_cpus": ("more.inc", 2, 2),
        "transfer_input_files": ("job.sub", 7, 7),
    }
    assert meaning(found.jobs[0]).arguments.value == ("a", "b")
    assert meaning(found.jobs[0]).inputs.value == ("f",)


def test_what_an_included_command_left_earlier_is_read(tmp_path: Path) -> None:
    text = "include command into Kept.inc : exit 1\nexecutable = a\nqueue\n"
    assert [p.kind for p in read(text, tmp_path).problems] == ["unknown"]
    (tmp_path / "Kept.inc").write_text("arguments = kept\n")  # condor_submit 25.14.1 reads it, too
    found = read(text, tmp_path)
    assert (found.problems, meaning(found.jobs[0]).arguments.value) == ((), ("kept",))


def test_two_queue_statements_are_two_jobs(tmp_path: Path) -> None:
    found = read("executable = a\nqueue\nexecutable = b\nqueue 2\npriority = 1\n", tmp_path)
    assert [meaning(job).executable.value for job in found.jobs] == ["a", "b"]
    assert found.lost == (), "the first queue statement used it"
    assert [c.name for c in found.trailing] == ["priority"]


@pytest.mark.parametrize(
    "text",
    [
        "include : rm -rf x |\nqueue\n",
        "include command : rm x\nqueue\n",
        "include command into y : rm x\nqueue\n",
    ],
)
def test_nothing_is_run(tmp_path: Path, text: str) -> None:
    (tmp_path / "x").write_text("")
    found = read(text, tmp_path)
    assert [p.kind for p in found.problems] == ["unknown"]
    assert (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("a b", ("a", "b")),
        ('a \\"b\\"', ("a", '"b"')),
        ("\"a 'b c' d\"", ("a", "b c", "d")),
        ('"a ""b"" c"', ("a", '"b"', "c")),
        ("\"it''s 'it''s'\"", ("its", "it's")),
        ('""', ()),
        ("\"a ''\"", ("a", "")),
    ],
)
def test_arguments(value: str, words: tuple[str, ...]) -> None:
    assert split_arguments(value) == words


@pytest.mark.parametrize("value", ['"a', '"a \'b"', 'a"b', '"a"b"'])
def test_arguments_that_cannot_be_split(value: str) -> None:
    with pytest.raises(QuotingError):
        split_arguments(value)


def test_environment() -> None:
    assert split_environment("A=1;B=two words") == {"A": "1", "B": "two words"}
    assert split_environment("\"A=1 B='two words' C=\"") == {"A": "1", "B": "two words", "C": ""}
    with pytest.raises(QuotingError):
        split_environment('"A 1"')


def test_sizes_and_versions() -> None:
    mib = 1 << 20
    assert parse_size("4GB", mib) == 4 << 30
    assert parse_size("4000", mib) == 4000 * mib
    assert parse_size(" 2.5 g ", mib) == 2560 * mib
    assert parse_size("1K", mib) == mib, "rounded up"
    for wrong in ("30G B", "4GiB", "lots", "", "1 Gigs", "10XB"):
        assert parse_size(wrong, mib) is None
    assert parse_runtime("12.4") == parse_runtime("12040") == (12, 4)
    assert parse_runtime("12") == (12, 0)
    assert parse_runtime("abc") is None


# --- hostile input ------------------------------------------------------------------------------------

_PIECES = st.sampled_from(
    [
        "a = 1", "A=$(a) x", "a = $(b", "$(a) = 2", "+x = y", "queue", "queue 3", "queue x in (a b)",
        "queue x in (", ")", "if true", "if defined a", "elif 0", "else", "endif", "\\", "# c", "#c \\",
        "include : other.inc", "x @=end", "@end", "x +=3", "x +,= 4", "requirements = (", "\t a = 1",
        "a = $F(a) $Fn(b) $CHOICE(0,a,b)", "my.z = 1", "=", ":", "a = $(b $(a))", "b = $$(c) $ENV(x)", " ", "\r",
    ]
)  # fmt: skip
_SETTINGS = settings(max_examples=300, deadline=None)


@linux
@_SETTINGS
@given(st.lists(_PIECES, max_size=12))
def test_any_mixture_reads_as_htcondor_reads_it(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[str]
) -> None:
    """Every line a shape of its own; the whole is read as HTCondor's own parser reads it."""
    folder = tmp_path_factory.mktemp("m")
    (folder / "other.inc").write_text("c = 3\nrequest_cpus = 1\n")
    text = "\n".join(pieces) + "\n"
    mine = read(text, folder)
    with contextlib.chdir(folder):
        theirs = htcondor_reads(text)
    if any(p.kind in ("unknown", "assumed") for p in mine.problems):
        return
    first = mine.jobs[0].queue
    if mine.queues:  # HTCondor's bindings stop at the first queue statement
        known_up_to = first.line
        mine_refuses = any(p.kind == "refused" and p.line <= known_up_to for p in mine.problems)
    else:
        mine_refuses = refused(mine)
    assert mine_refuses == (theirs is None), (text, mine.problems)
    if theirs is not None:
        assert dict(mine.jobs[0].macros) == theirs, text


@_SETTINGS
@given(st.binary(max_size=4000))
def test_random_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("b") / "job.sub"
    path.write_bytes(data)
    found = read_description(path, path.parent)
    assert found.jobs
    assert all(p.message and p.line >= 0 for p in found.problems)


@_SETTINGS
@given(st.lists(st.one_of(_PIECES, st.text(max_size=60)), max_size=30))
def test_random_lines_are_checked_without_a_crash(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[str]
) -> None:
    path = tmp_path_factory.mktemp("l") / "job.sub"
    path.write_bytes("\n".join(pieces).encode("utf-8", errors="surrogatepass"))
    found = read_description(path, path.parent)
    for job in found.jobs:
        list(without_suppressed(check_subject(Subject(found, job)))[0])


HOSTILE = {
    "a huge line": b"a = " + b"x" * 20_000_000,
    "many lines": b"a = 1\n" * 100_000,
    "deep ifs": b"if true\n" * 5000,
    "deep parentheses": b"requirements = " + b"(" * 200_000 + b"\nqueue\n",
    "deep macros": b"a = " + b"$(" * 100_000 + b"\nqueue\n",
    "nested defaults": b"a = " + b"$(x:" * 5000 + b")" * 5000 + b"\nqueue\n",
    "a billion laughs": b"".join(
        b"m%d = $(m%d)$(m%d)$(m%d)\n" % (n + 1, n, n, n) for n in range(60)
    ) + b"arguments = $(m60)\nm0 = ha\nqueue\n",
    "doubling": b"a = x\n" + b"a = $(a)$(a)\n" * 64 + b"queue\n",
    "an endless continuation": b"a = \\\n" * 200_000,
    "NULs": b"\0" * 1_000_000,
    "an endless list": b"queue x in (\n" + b"a b c\n" * 300_000,
    "backslashes": b"arguments = " + b"\\" * 1_000_001 + b"\nqueue\n",
    "quotes": b"arguments = \"" + b"'" * 500_001 + b"\nenvironment = " + b'"' * 500_001 + b"\nqueue\n",
    "operators": b"requirements = a" + b" && a" * 100_000 + b"\nqueue\n",
    "spaces": b"arguments = " + b" " * 3_000_000 + b"x\nrequest_disk = 1" + b" " * 3_000_000 + b"G\nqueue\n",
    "many commands": b"".join(b"c%d = $(c%d)\n" % (n, n + 1) for n in range(30_000)) + b"queue\n",
    "many jobs": b"executable = x\noutput = o\nqueue 2000000000\n",
    "itself": b"include : job.sub\n",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_take_bounded_time_and_memory(tmp_path: Path, name: str) -> None:
    """In a process of its own, with 2 GiB of address space and 60 s: far above what it needs."""
    path = tmp_path / "job.sub"
    path.write_bytes(HOSTILE[name])
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))\n"
        "from pixi_scaffold.job import read_description\n"
        "from pixi_scaffold.rules import Subject, check_subject\n"
        "path = Path(sys.argv[1])\n"
        "found = read_description(path, path.parent)\n"
        "print(sum(len(check_subject(Subject(found, job))) for job in found.jobs[:3]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-600:]


@linux
@pytest.mark.parametrize(
    "options", ["", "p", "d", "n", "x", "nx", "b", "xb", "pb", "db", "dnx", "q", "qa", "a"]
)
@pytest.mark.parametrize("head", ["a = p/q/x.y\n", ""])
def test_file_functions(tmp_path: Path, options: str, head: str) -> None:
    """A value that names itself is expanded when it is set, so HTCondor's bindings show it."""
    text = f"{head}a = <$F{options}(a)>\n"
    assert dict(read(text, tmp_path).jobs[0].macros) == htcondor_reads(text)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no FIFOs in folders")
@pytest.mark.parametrize("line", ["include : fifo", "queue x from fifo", "include : zero"])
def test_a_fifo_or_device_is_refused_with_words(tmp_path: Path, line: str) -> None:
    """A FIFO that nobody writes to keeps whoever opens it waiting; /dev/zero has no end."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "zero").symlink_to("/dev/zero")
    found = read(f"executable = a\n{line}\n", tmp_path)
    [problem] = found.problems
    assert problem.message.endswith("is not a regular file")
    for name in ("fifo", "zero", "."):
        with pytest.raises(OSError, match="is not a regular file"):
            read_description(tmp_path / name, tmp_path)


def test_many_queue_statements_are_counted_and_some_looked_at(tmp_path: Path) -> None:
    (tmp_path / "items.txt").write_text("b\n")
    statements = "queue\nqueue x in (\nqueue\n)\nqueue x from items.txt\nqueue 2 x in (a, b)\n"
    found = read(f"a = 1\n{statements * 100}", tmp_path)
    assert len(found.queues) == 400
    assert len(found.jobs) == QUEUES_LIMIT
    assert found.trailing == ()
    assert found.problems == ()


def test_too_many_items_are_refused_before_they_take_memory(tmp_path: Path) -> None:
    (tmp_path / "items.txt").write_bytes(b"\n" * (ITEMS_LIMIT + 1))
    found = read("queue x from items.txt\n", tmp_path)
    [problem] = found.problems
    assert "more than 64 MiB or 1000000 lines" in problem.message
    (tmp_path / "items.txt").write_bytes(b"a\n" * (ITEMS_LIMIT // 2 + 1))
    found = read("queue x from items.txt\n" * 50, tmp_path)
    assert len(found.jobs) == 2, "the items of all statements together have the limit"
    assert len(found.queues) == 50
