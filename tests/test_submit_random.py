"""What condor_submit -dry-run makes of macros and queue statements, and what is read here.

The values are those on which the two once differed, and random ones built from the same parts.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
from pathlib import Path

import pytest

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.job import Submission, job_ad, meaning
from pixi_scaffold.rehearsal.choosing import choose, read_here
from tests.support.pool import condor_prefix

pytestmark = pytest.mark.slow
HEAD = (
    "executable = job.sh\nrequest_memory = 1GB\nrequest_disk = 1GB\nb = 1\np = one/two.txt\n"
    "l = x, y,z\ns = abcdef\nempty =\nneg = -3\nm = 2.5\nsum = 1+2\nnested = $(b)$(s)\n"
)
ENVIRONMENT = {"SET": "a value", "EMPTY": ""}
VALUES = [
    "$INT($(b))", "$INT($(b)+1)", "$INT(c)", "$INT(b*2)", "$INT(b,%s)", "$INT(b,)", "$INT(b,x%dy%%)", "$INT(true)",
    "$INT( b )", "$INT(9223372036854775808)", "$INT(b,%d,%d)", "$INT(b,%ld)", "$REAL(b,%d)", "$REAL(true)", "$REAL(b,%g)",
    "$CHOICE(-1,x,y)", "$CHOICE(2,x,y)", "$CHOICE(c,x,y)", "$CHOICE(0)", "$CHOICE(0,l)", "$CHOICE(1, l )", "$CHOICE(0,nolist)",
    "$CHOICE(1,x,,y)", "$CHOICE($(b),x,y)", "$SUBSTR(p,2)", "$SUBSTR(p, 2 , 3 )", "$SUBSTR(p,b,-3)", "$SUBSTR(p,x)",
    "$SUBSTR(p)", "$SUBSTR(c,2)", "$SUBSTR( p ,1)", "$SUBSTR(p,-99,2)", "$SUBSTR($(p),2)", "$SUBSTR(p,1,2,3)",
    "$RANDOM_CHOICE(b)", "$RANDOM_CHOICE()", "$RANDOM_CHOICE(x)", "$RANDOM_INTEGER(3)", "$RANDOM_INTEGER(5,3)",
    "$RANDOM_INTEGER(b,b)", "$RANDOM_INTEGER(3x,3)", "$RANDOM_INTEGER(3,3,0)", "$RANDOM_INTEGER(6,7,3)",
    "$STRING(b)", "$STRING(l,%8s|)", "$STRING(l,%d)", "$STRING(c)", "$(c:a=b)", "$(c:-1)", "$(c:a.b_c,/d e)", "$(c:a:b)",
    "$(a/b)", "$(a/b:c)", "$(c;d)", "$f(p)", "$int(b)", "$foo($(b))", "$$($(b))", "$$INT(b)", "$(c:$(d:$(b)))",
    "$BASENAME(p)", "$BASENAME(p,.txt)", "$BASENAME(p,.TXT)", "$BASENAME(p, .txt)", "$BASENAME(p,.txt,x)", "$BASENAME(a/b/)",
    "$DIRNAME(p)", "$DIRNAME(a/b)", "$DIRNAME(b)", "$Fd(p)", "$Fdb(p)", "$Fpx(p)", "$Fdx(p)", "$Fw(p)", "$Fx(a.)", "$Fn(.a)",
    "$F( p )", "$FN(p)", "$Fz(p)", "$F(ARCH)", "$F(a/b.c)", "$EVAL(1+2)", "$EVAL(1.5)", "$EVAL(l)", "$EVAL(a b)", "$EVAL($(b)*2)",
    "$ENV(SET)", "$ENV(EMPTY)", "$ENV(EMPTY:x)", "$ENV(NOT_SET)", "$ENV(NOT_SET:a b,c/d)", "$ENV(NOT_SET:a=b)",
    "$ENV( SET )", "$EVAL(sum)", "$EVAL((1+2)*3)", "$EVAL(n + 1)", "$EVAL(nested)", "$INT(neg,%x)", "$INT(4294967301,%d)",
    "$INT(neg,%lx)", "$CHOICE(sum,1,2,3,4)", "$SUBSTR(nested,-2)", "$SUBSTR(s,neg)", "$SUBSTR(s, neg)", "$REAL(m,%.2f)",
    "$(DOLLAR)(b)", "$(DOLLAR:x)", "$BASENAME(DOLLAR)", "$(JobId) $(Row) $(Step)", "$(a_$(b))", "$Ff(p)", "$Ffn(p)",
]  # fmt: skip
QUEUES = [
    "queue x matching [ab].txt", "queue x matching files [!a].txt", "queue x matching [0:1] [ab].txt",
    "queue x in [1: 2] (a b c)", "queue x in [1 :2] (a b c)", "queue x in [ ] (a b c)", "queue x in [-2:] (a b c)",
    "queue x in [+1:] (a b c)", "queue x in [-] (a b)", "queue x in [::0] (a b)", "queue x in [:] a b", "queue x in [a] b",
    "queue 2, x in a b", "queue 2x in a b", "queue , x in a", "queue 7/2", "queue 2 x,y from items", "queue x,y from [1:] items",
    "queue arguments from items", "queue x,arguments in (a, b)", "queue args from items", "queue x y from (\n1 2\n\n# c\n3,4 5\n)",
    "queue x matching dirs *", "queue x matching any r*", "queue matching files *.txt", "queue x in (a b", "queue x from nowhere",
    "queue in (a, b)", "queue x in a, b", "queue x matching (a*, r*)", "queue x matching ./*.txt", "queue x in (\na\nb c\n)",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("submit")
    (found / "job.sh").write_text("#!/bin/sh\n")
    (found / "job.sh").chmod(0o755)
    for name in ("a.txt", "b.txt", ".hidden", "r1/x", "r2/y"):
        (found / name).parent.mkdir(exist_ok=True)
        (found / name).touch()
    (found / "items").write_text("a, 1\n\nb\t2 3\n# c\n   d , 4\n")
    return found


def on_the_access_point(folder: Path) -> list[str] | None:
    """The arguments of each job; None for a refused description."""
    ads = folder.parent / f"{folder.name}.ads"
    ads.unlink(missing_ok=True)
    done = subprocess.run(
        [condor_prefix() / "usr" / "bin" / "condor_submit", "-dry-run", ads, "job.sub"],
        cwd=folder, env={**os.environ, **ENVIRONMENT, "CONDOR_CONFIG": "ONLY_ENV"},
        capture_output=True, stdin=subprocess.DEVNULL, timeout=600, check=False,
    )  # fmt: skip
    if done.returncode:
        return None
    found: list[str] = []
    for ad in re.split(r"\n\s*\n", ads.read_text() if ads.exists() else ""):
        arguments = re.search(r"(?m)^Arg(?:s|uments) *= *(.*)$", ad)
        if re.search(r"(?m)^ProcId\b", ad):  # a later ad says what is not as in the first one
            found.append(arguments[1] if arguments else found[0])
    return found


def read_as_here(folder: Path) -> list[str] | None:
    submission = Submission({**os.environ, **ENVIRONMENT}, seed=0)
    try:
        jobs = choose(read_here(folder / "job.sub", folder, submission), None, every=True)
    except ScaffoldError as error:
        if "queues no job" in error.message:
            return []
        return None if "refuses" in error.message else [error.message]
    ads = [job_ad(meaning(job, number)).attributes for number, job in jobs.items()]
    return [ad.get("Args") or ad["Arguments"] for ad in ads]


@pytest.mark.parametrize("value", VALUES)
def test_a_value_comes_to_the_same(folder: Path, value: str) -> None:
    (folder / "job.sub").write_text(f"{HEAD}arguments = [{value}]\nqueue\n")
    assert read_as_here(folder) == on_the_access_point(folder)


@pytest.mark.parametrize("queue", QUEUES)
def test_a_queue_statement_makes_the_same_jobs(folder: Path, queue: str) -> None:
    (folder / "job.sub").write_text(f"{HEAD}arguments = $(x)|$(y)|$(Row)|$(Process)\n{queue}\n")
    assert read_as_here(folder) == on_the_access_point(folder)


NAMES = [
    "b",
    "p",
    "l",
    "s",
    "empty",
    "neg",
    "m",
    "sum",
    "nested",
    "x",
    "y",
    "Process",
    "Row",
    "nothing",
]
PARTS = {
    "$({})": [NAMES], "$({}:{})": [NAMES, ["", "d", "$(s)", "a b", "0"]], "$F{}({})": [["", "p", "n", "x", "nx", "dx", "pb", "xb"], NAMES],
    "$SUBSTR({},{})": [NAMES, ["0", "1", "neg", "99", "b"]], "$SUBSTR({},{},{})": [NAMES, ["0", "2", "-2"], ["1", "-1", "sum"]],
    "$CHOICE({},{})": [["0", "1", "b", "Process", "neg"], ["l", "a,b,c", "p q,r", "nothing"]],
    "$INT({}{})": [["b", "m", "1+2", "Process", "neg", "sum", "7/2", "nothing"], ["", ",%04d", ",%x", ", %d", ",%+d"]],
    "$REAL({}{})": [["b", "m", "1.5*2", "Process", "1/3.0"], ["", ",%.2f", ",%g", ",%e"]],
    "$EVAL({})": [["1+2*3", "sum", "m", "s", "1.5", "true", "3 > 2", "nested", "2 * 2.5"]],
    "$BASENAME({}{})": [NAMES, ["", ",.txt", ", .TXT", ",c"]], "$DIRNAME({})": [NAMES], "$STRING({})": [NAMES],
    "$ENV({})": [["SET", "EMPTY", "NOT_SET", "NOT_SET:d"]], "{}": [["plain", "--x=1", "$n", "$$(Memory)", "$( b )", "'q'"]],
}  # fmt: skip


def test_random_descriptions_come_to_the_same(folder: Path) -> None:
    chance = random.Random(25141)
    different = {}
    for _ in range(200):
        forms = chance.choices(list(PARTS), k=3)
        values = " ".join(form.format(*map(chance.choice, PARTS[form])) for form in forms)
        text = f"arguments = {values} $(x)\n{chance.choice(QUEUES)}\n"
        (folder / "job.sub").write_text(HEAD + text)
        here, there = read_as_here(folder), on_the_access_point(folder)
        if here != there:
            different[text] = (there, here)
    assert not different
