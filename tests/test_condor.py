"""HTCondor as the second opinion: its parser, its dry run, its matching."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pixi_scaffold.job import Submission, job_ad, meaning, read_description, refusals, specs
from pixi_scaffold.job import htcondor as condor
from pixi_scaffold.job.classad import INVALID, UNDEFINED, ExpressionError, attributes
from pixi_scaffold.job.evaluate import NotKnownError, evaluate
from pixi_scaffold.job.requirements import top_level_and
from tests.dry_run import PAGE, page, version
from tests.golden import make, name_of, template_repository, variants
from tests.support.htcondor import parses, read_commands
from tests.support.paths import SHARED
from tests.support.pool import condor_prefix
from tests.test_rules import LOCK

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="HTCondor's bindings are for Linux")
SLOTS = SHARED / "condor" / "slots"


@pytest.fixture(scope="session")
def prefix() -> Path:
    return condor_prefix()


# --- expressions --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "true", "1 + 2 * 3", "(a && b) || !c", 'OpSys == "LINUX"', "a =?= undefined", "a isnt b", "x ? 1 : 2",
        "x ?: 2", "f(1, {2, 3})", "[a = 1; b = 2].a", "TARGET.Memory >= MY.RequestMemory", "-3.5e2",
        ".5", "1e3", 'regexp("^gpu\\\\d", Machine)', "a[0].b", "'quoted name' + 1", "a.b.c", ".a", "{}",
        "/* c */ 1", "a << 2 >>> 3", '"a" "b"', "~a & b | c ^ d", "[ ]", "f()", "[a = 1;; b = 2]", "t && f",
    ],
)  # fmt: skip
def test_good_expressions_are_good_for_both(text: str) -> None:
    attributes(text)
    assert parses(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "(",
        "a &&",
        "a b",
        '"open',
        "a ==",
        "f(1,",
        "[a = ]",
        "{1, 2",
        "a ? b",
        "&& a",
        "1 + * 2",
        "a.",
        "a[",
        "@",
        "0x1F",
        "4K",
        "1.",
        "1 // c",
        "is",
        "true()",
        "{1,}",
        "f(1,)",
        "0777",
        "3 4",
    ],
)
def test_bad_expressions_are_bad_for_both(text: str) -> None:
    with pytest.raises(ExpressionError):
        attributes(text)
    assert not parses(text)


# Without square brackets: HTCondor's library takes `a ]` for an expression, which it is not.
_TOKENS = st.sampled_from(
    [
        "a",
        "b",
        "MY.x",
        "TARGET.y",
        "1",
        "2.5",
        '"s"',
        "(",
        ")",
        "&&",
        "||",
        "==",
        ">=",
        "=?=",
        "!",
        "-",
        "+",
        "*",
        "?",
        ":",
        "{",
        "}",
        ",",
        "f(",
        "true",
        "undefined",
        "is",
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(_TOKENS, min_size=1, max_size=9))
def test_any_mixture_of_tokens_is_judged_as_htcondor_judges_it(tokens: list[str]) -> None:
    text = " ".join(tokens)
    try:
        attributes(text)
        mine = True
    except ExpressionError:
        mine = False
    assert mine == parses(text), text


@settings(max_examples=600, deadline=None)
@given(st.lists(_TOKENS, min_size=1, max_size=9))
def test_a_mixture_of_tokens_comes_to_what_it_does_for_htcondor(tokens: list[str]) -> None:
    compare_values(" ".join(tokens))


_VALUES = st.sampled_from(["0", "1", "-7", "2.5", '"a"', '"B"', "true", "undefined", "error", "x"])
_OPERATORS = st.sampled_from(
    [
        "+",
        "-",
        "*",
        "/",
        "%",
        "<",
        "<=",
        ">",
        ">=",
        "==",
        "!=",
        "=?=",
        "=!=",
        "&&",
        "||",
        "&",
        "|",
        "^",
        "?:",
    ]
)


@settings(max_examples=600, deadline=None)
@given(st.lists(st.tuples(_VALUES, _OPERATORS), min_size=1, max_size=3), _VALUES)
def test_operators_give_what_they_do_for_htcondor(pairs: list[tuple[str, str]], last: str) -> None:
    compare_values(" ".join(f"{value} {operator}" for value, operator in pairs) + f" {last}")


@pytest.mark.parametrize(
    "text",
    [
        "ifThenElse(1 > 2, 3, 4)", "min({1, 2.5})", "max({3, 1})", 'size("abc")', "pow(2, 10)", "quantize(7, 4)",
        'substr("hello", 1, 2)', 'substr("hello", -3)', 'strcat("a", 1, true)', 'toUpper("a")', "round(2.5)",
        "int(2.7)", 'int("12")', 'real("1.5")', "floor(-2.5)", "ceiling(2.1)", "isUndefined(x)", "isError(1 / 0)",
        'split("a b")', 'join(",", {"a", "b"})', 'member(1, {1, 2})', 'stringListMember("a", "a,b")',
        'versionGE("25.1.0", "24.12.0")', 'versioncmp("1.2", "1.10")', 'regexp("a+", "caat")', "{1, 2}[1]",
        "[a = 1].a", "5 ? 1 : 2", "-7 / 2", "-7 % 3", "1 / 0", "1 < 2 < 3", "~5", "!3",
    ],
)  # fmt: skip
def test_functions_give_what_they_do_for_htcondor(text: str) -> None:
    compare_values(text)


def test_the_rarer_functions_are_those_of_htcondors_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert evaluate("pow(x, 2) + TARGET.y", {"x": "3"}, {"y": "1"}) == 10
    assert evaluate("ifThenElse(time() == 20, quantize(3, {4, 8}), 0)", now=20) == 4
    assert evaluate("quantize(A, 4)", {"a": "3", "damaged": "(1"}) == 4
    assert evaluate('split("a b")[1]') == "b"
    assert evaluate("pow(missing, 2)") is evaluate("nope(1)") is INVALID
    assert evaluate("debug(missing)") is UNDEFINED
    monkeypatch.setattr(condor, "available", lambda: False)  # as on macOS
    with pytest.raises(NotKnownError, match="pow"):
        evaluate("pow(2, 3)")


def compare_values(text: str) -> None:
    """Compare what an expression comes to with HTCondor's library, where both take it."""
    import classad2
    import htcondor2  # noqa: F401  it brings functions

    try:
        mine = evaluate(text)
    except (ExpressionError, NotKnownError):
        return
    theirs = plain(classad2.ExprTree(text).eval())
    assert (type(mine), mine) == (type(theirs), theirs), text


def plain(value: object) -> object:
    """Return a value of HTCondor's library as ours; it leaves the items of a list unevaluated."""
    import classad2

    if isinstance(value, classad2.ExprTree):
        return plain(value.eval())
    if isinstance(value, classad2.Value):
        return UNDEFINED if value == classad2.Value.Undefined else INVALID
    return tuple(map(plain, value)) if isinstance(value, list) else value


def test_the_attributes_of_an_expression() -> None:
    named = attributes('(TARGET.Memory > MY.x && OpSys == "a.b") || f(Cpus) > [q = 1].q')
    assert {(r.scope, r.name) for r in named} == {
        ("target", "Memory"), ("my", "x"), ("", "OpSys"), ("", "Cpus"),
    }  # fmt: skip


def test_clauses_part_where_all_must_hold() -> None:
    assert top_level_and('a && (b && c) && d == "x && y"') == ["a", "(b && c)", 'd == "x && y"']
    assert top_level_and("a || b && c") == ["a || b && c"]
    assert top_level_and("a =?= undefined && b") == ["a =?= undefined", "b"]
    assert top_level_and("") == []


# --- the dry run ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_comparison_with_a_dry_run_is_current(prefix: Path, tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    here = version(prefix)
    if f"(HTCondor {here})" not in text:
        pytest.skip(f"the page is of another HTCondor than {here}")
    assert page(prefix, tmp_path) == text, "run `python -m tests.dry_run`"


def dry_run_ads(prefix: Path, path: Path, folder: Path) -> list[object]:
    """The job ads that HTCondor itself makes of a description."""
    import classad2

    ads = path.parent / "ads.out"
    subprocess.run(
        [prefix / "usr/bin/condor_submit", "-dry-run", ads, path],
        cwd=folder, env={**os.environ, "CONDOR_CONFIG": "ONLY_ENV"}, check=True, capture_output=True,
    )  # fmt: skip
    found, cluster = [], None
    for ad in classad2.parseAds(ads.read_text().strip()):
        if cluster is None:
            cluster = ad
        else:
            full = classad2.ClassAd(str(cluster))
            full.update(ad)
            ad = full
        found.append(ad)
    ads.unlink()
    return found


def machine_ads() -> list[object]:
    """The bundled slots, and those saved from real pools."""
    import classad2

    found = list(condor.read_slots(condor.TYPICAL))
    if SLOTS.is_dir():
        found += [classad2.parseOne(path.read_text()) for path in sorted(SLOTS.glob("*.ad"))]
    return found


JOBS = {
    "cpu": "request_cpus = 4\nrequest_memory = 4GB\nrequest_disk = 10GB\n",
    "much memory": "request_memory = 600 GB\n",
    "much disk": "request_disk = 2TB\n",
    "requirements": 'requirements = OpSysMajorVer >= 9 && (HasSIF || GPUs_Capability > 8)\n',
    "another system": 'requirements = OpSys == "WINDOWS"\n',
    "require_gpus": 'request_gpus = 1\nrequire_gpus = DeviceName == "Tesla T4"\n',
    "two limits on one property": "request_gpus = 1\nrequire_gpus = Capability > 7\ngpus_minimum_capability = 9.0\n",
    "four GPUs": "request_gpus = 4\ngpus_minimum_memory = 40GB\n",
    "old GPUs only": "request_gpus = 1\ngpus_maximum_capability = 7.0\ngpus_minimum_runtime = 12\n",
    "no transfer": "should_transfer_files = NO\n",
    "if needed": "should_transfer_files = IF_NEEDED\n",
    "a URL": "transfer_input_files = osdf:///x/y\nshould_transfer_files = YES\n",
    "an unknown URL": "transfer_input_files = gopher://x/y\nshould_transfer_files = YES\n",
    "a container": "universe = container\ncontainer_image = docker://a/b:1\n",
    "an image file": "container_image = x.sif\n",
    "an own resource": "request_licences = 2\n",
    "an own attribute": '+Lab = "a"\nrequirements = MY.Lab == "a"\n',
    "an expression": "request_memory = 1024 * 3\nrequest_cpus = 2 + 2\n",
    "undefined": "request_memory = undefined\nrequest_gpus = undefined\n",
    "nothing": "",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", JOBS)
def test_a_job_matches_where_htcondors_own_ad_matches(
    prefix: Path, tmp_path: Path, name: str
) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "x.sif").write_text("")
    path = tmp_path / "job.sub"
    path.write_text(f"executable = /bin/true\nlog = l\n{JOBS[name]}queue\n")
    _matches_alike(prefix, path, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("row", variants(), ids=name_of)
def test_generated_jobs_match_where_htcondors_own_ad_matches(
    prefix: Path, tmp_path: Path, row: dict[str, str]
) -> None:
    tmp_path.chmod(0o755)
    project = make(template_repository(tmp_path / "t"), row, tmp_path / "example")
    (project / "pixi.lock").write_bytes(LOCK.read_bytes())
    (project / "env.tar.gz").write_text("")
    (project / "example.sif").write_text("")
    matching = _matches_alike(prefix, project / "htcondor" / "train.sub", project)
    assert 0 < matching < len(machine_ads()), "some slots match and some do not"


def _matches_alike(prefix: Path, path: Path, folder: Path) -> int:
    slots = machine_ads()
    description = read_description(path, folder)
    [theirs] = dry_run_ads(prefix, path, folder)
    report = condor.match(job_ad(meaning(description.jobs[0])), slots)
    for slot, answer in zip(slots, report.slots, strict=True):
        expected = theirs.symmetricMatch(slot)
        assert bool(answer.refused) != expected, (answer, str(theirs.lookup("Requirements")))
        assert all(c.text and c.origin for c in answer.refused)
    return report.matching


# --- its parser ---------------------------------------------------------------------------------------


def test_reading_says_nothing_on_the_users_terminal(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert read_commands("if foo bar\nendif\nqueue\n", tmp_path) is None
    assert read_commands("a = 1\nqueue\n", tmp_path) == {"a": "1"}
    assert capfd.readouterr() == ("", "")


def test_a_description_that_could_run_something_is_not_given_to_it(tmp_path: Path) -> None:
    from pixi_scaffold.check import review
    from pixi_scaffold.report import Silent

    path = tmp_path / "job.sub"
    path.write_text("include : touch ran |\nexecutable = /bin/true\nqueue\n")
    with contextlib.chdir(tmp_path):
        found = review([path], Silent())
    assert not (tmp_path / "ran").exists()
    assert "PS116" in {f.rule for f in found.findings}


# --- values that nobody wrote down --------------------------------------------------------------------

_WORDS = [
    "true", "yes", "1", "-1", "2.5", "1GB", "10XB", "1,000", "2GB, 1GB", "x y", '"x"', "(1", "a && b", "a = b",
    "SIGINT", "15", "99", "NONE", "always", "$(Process)", "$(nope)", "1+1", "ifThenElse(1>2,1,2)", '"a b',
    "a;b", "A=1;B", "\"A=1 B='2 3'\"", "\"A=1 B='2\"", "docker://a/b", "x.sif", "s3://b/k", "NEVER", "time()",
    "undefined", "{1,2}", "[a=1]", "1e3", "0x10", ".5G", "$$(Memory)", "a.b:2", "1a", "a,b,,c", "7.5.1", "x # c",
]  # fmt: skip
_DEPEND = (  # on files, on tokens, or on what else the machine has
    "ec2", "gce", "azure", "arc", "vm_", "xen", "x509", "use_", "scitoken", "initialdir", "executable",
    "submit", "interactive", "tool_daemon", "java", "universe", "send_cred", "aws", "gs_", "s3_", "docker_send",
    "container_service",
)  # fmt: skip
_COMMANDS = st.sampled_from([name for name in specs() if not name.startswith(_DEPEND)])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(_COMMANDS, st.sampled_from(_WORDS)), min_size=1, max_size=2))
def test_any_value_is_refused_as_condor_submit_refuses_it(
    prefix: Path, tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    lines = [f"{name} = {word}" for name, word in pairs]
    path = folder / "job.sub"
    path.write_text("\n".join(["executable = run.sh", *lines, "queue", ""]))
    done = subprocess.run(
        [prefix / "usr" / "bin" / "condor_submit", "-dry-run", "ads", "job.sub"], cwd=folder,
        env={**os.environ, "CONDOR_CONFIG": "ONLY_ENV"}, capture_output=True, check=False, timeout=600,
    )  # fmt: skip
    # a command that only a newer HTCondor has: this one does not look at its value
    assume(b"was unused by condor_submit" not in done.stderr)
    description = read_description(path, folder, Submission(os.environ))
    found = [p.message for p in description.problems if p.kind in ("refused", "queue")]
    found += [r.message for r in refusals(meaning(description.jobs[0])) if not r.versions]
    newer = any(r.versions for r in refusals(meaning(description.jobs[0])))
    assert newer or bool(found) == bool(done.returncode), (lines, done.stderr, found)
