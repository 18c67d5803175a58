"""Reading submit descriptions: held against HTCondor's own parser, and against hostile input."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pixi_scaffold.job import Description, read_description

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
    ": a = 1\nqueue\n" if False else "if 1\n:a = 1\nendif\nqueue\n",
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
