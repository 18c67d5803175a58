"""DAGs and the command line: each node with its VARS, what earlier nodes make, and -append."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.support.command import scaffold

FILES = {
    "a.sh": "#!/bin/sh\necho $1 > out-$1.txt\n",
    "b.sh": "#!/bin/sh\ncat out-x.txt\n",
    "a.sub": "executable = a.sh\narguments = $(what)\nshould_transfer_files = YES\n"
    "transfer_output_files = out-$(what).txt\nrequest_cpus = 1\nrequest_memory = 1GB\n"
    "request_disk = 1GB\nlog = a.log\nqueue\n",
    "b.sub": "executable = b.sh\nshould_transfer_files = YES\n"
    "transfer_input_files = out-$(what).txt\nrequest_cpus = 1\nrequest_memory = 1GB\n"
    "request_disk = 1GB\nlog = b.log\nqueue\n",
    "w.dag": 'JOB A a.sub\nJOB B b.sub\nVARS A what="x"\nVARS B what="x"\nPARENT A CHILD B\n',
}


@pytest.fixture
def dag(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    for name in ("a.sh", "b.sh"):
        (tmp_path / name).chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("words", [["w.dag"], []], ids=["named", "found"])
def test_what_an_earlier_node_makes_is_not_missing(dag: Path, words: list[str]) -> None:
    ran = scaffold("check", "--json", *words, cwd=dag)
    assert (ran.code, ran.document["findings"]) == (0, [])


def test_each_node_is_looked_at_with_its_own_variables(dag: Path) -> None:
    text = FILES["w.dag"].replace('VARS B what="x"', 'VARS B what="y"')
    (dag / "w.dag").write_text(text.replace("PARENT A CHILD B\n", ""))
    ran = scaffold("check", "--json", "w.dag", cwd=dag)
    [finding] = ran.document["findings"]
    assert (finding["rule"], finding["severity"]) == ("PS205", "error")
    assert "out-y.txt" in finding["message"]


def test_a_node_in_a_folder_of_its_own_starts_there(dag: Path) -> None:
    (dag / "sub").mkdir()
    for name in ("b.sub", "b.sh"):
        (dag / name).rename(dag / "sub" / name)
    (dag / "sub" / "out-x.txt").touch()
    (dag / "w.dag").write_text('JOB B b.sub DIR sub\nVARS B what="x"\n')
    assert scaffold("check", "--json", "w.dag", cwd=dag).document["findings"] == []


def test_a_dag_whose_node_has_no_file_is_a_finding(dag: Path) -> None:
    (dag / "w.dag").write_text("JOB A nowhere.sub\n")
    ran = scaffold("check", "w.dag", cwd=dag)
    assert ran.code == 3
    assert "nowhere.sub:0: error PS109" in ran.out


def test_only_what_dagman_submits_is_looked_at(dag: Path) -> None:
    """A quoted name, nodes that are done or do nothing, and descriptions in the DAG itself.

    Seen: DAGMan 25.14.1 runs such a DAG to its end, 23.9.6 one without the `@=end`, which it refuses.
    """
    (dag / "in side").mkdir()
    (dag / "a.sub").rename(dag / "in side" / "a.sub")
    (dag / "w.dag").write_text(
        'JOB A "in side/a.sub"\nVARS A what="x"\nJOB N nowhere.sub NOOP\n'
        "JOB D nowhere.sub DIR sub DONE\nSUBMIT-DESCRIPTION kept {\n  executable = a.sh\n}\n"
        "JOB K kept\nJOB I {\n  executable = nowhere.sh\n  queue\n}\nJOB E @=end\n  queue\n@end\n"
        "PARENT A CHILD N D K I E\n"
    )
    ran = scaffold("check", "--json", "w.dag", cwd=dag)
    assert (ran.code, ran.document["findings"]) == (0, [])
    nodes = [one["what"] for one in ran.document["skipped"] if "node" in one["what"]]
    assert nodes == ["node K of w.dag", "node I of w.dag", "node E of w.dag"]


@pytest.mark.parametrize(("parent", "severity"), [(True, "warning"), (False, "error")])
def test_an_earlier_node_may_make_the_list_of_jobs(dag: Path, parent: bool, severity: str) -> None:
    """Seen: a dry run of 23.9.6 and 25.14.1 refuses the file where the list is not there."""
    (dag / "b.sub").write_text(FILES["b.sub"].replace("queue\n", "queue what from list.txt\n"))
    relation = "PARENT A CHILD B\n" * parent
    (dag / "w.dag").write_text(f'JOB A a.sub\nVARS A what="x"\nJOB B b.sub\n{relation}')
    (dag / "a.sub").write_text(FILES["a.sub"].replace("transfer_output_files", "# files"))
    found = scaffold("check", "--json", "w.dag", cwd=dag).document["findings"]
    assert [one["severity"] for one in found if one["rule"] == "PS108"] == [severity]


def test_a_node_on_another_machine_is_listed_as_not_checked(dag: Path) -> None:
    (dag / "w.dag").write_text('JOB A a.sub\nVARS A what="x"\nJOB B /home/nobody-here/b.sub\n')
    ran = scaffold("check", "--json", "w.dag", cwd=dag)
    assert (ran.code, ran.document["findings"]) == (0, [])
    why = "/home/nobody-here/b.sub is not on this machine"
    assert why in [one["why"] for one in ran.document["skipped"]]


def test_what_condor_submit_dag_writes_is_not_found(dag: Path) -> None:
    (dag / "w.dag.condor.sub").write_text("universe = scheduler\nexecutable = /nowhere\nqueue\n")
    assert scaffold("check", "--json", cwd=dag).document["findings"] == []


def test_a_value_of_the_command_line_is_read_before_the_file(dag: Path) -> None:
    (dag / "out-x.txt").touch()
    assert scaffold("check", "b.sub", "what=x", cwd=dag).code == 0
    (dag / "b.sub").write_text(f"what = y\n{FILES['b.sub']}")
    assert "out-y.txt" in scaffold("check", "what=x", "b.sub", cwd=dag).out  # the file's own wins


def test_append_is_read_before_the_queue_statement(dag: Path) -> None:
    (dag / "out-x.txt").touch()
    assert scaffold("check", "b.sub", "-a", "what = x", cwd=dag).code == 0
    ran = scaffold("check", "b.sub", "-a", "what=x", "-a", "universe = vanila", cwd=dag)
    assert ran.code == 3
    assert "<command line>:2: error PS114" in ran.out
    assert scaffold("check", "b.sub", "-a", "what", cwd=dag).code == 3


@pytest.mark.parametrize("inner", ["SPLICE X", "SUBDAG EXTERNAL X"])
def test_splices_and_sub_dags_are_followed(dag: Path, inner: str) -> None:
    (dag / "inner.dag").write_text('JOB B b.sub\nVARS B what="x"\n')
    (dag / "w.dag").write_text(
        f'JOB A a.sub\nVARS A what="x"\n{inner} inner.dag\nPARENT A CHILD X\n'
    )
    assert scaffold("check", "--json", cwd=dag).document["findings"] == []
    (dag / "w.dag").write_text(f'JOB A a.sub\nVARS A what="y"\n{inner} inner.dag\n')
    [finding] = scaffold("check", "--json", "w.dag", cwd=dag).document["findings"]
    assert (finding["rule"], Path(finding["file"]).name) == ("PS205", "b.sub")


@pytest.mark.parametrize("line", ["JOB B b2.sub", "SUBDAG EXTERNAL B inner.dag"])
@pytest.mark.parametrize("before", ["PARENT A CHILD B", "SCRIPT PRE B make.sh"])
def test_what_dagman_submits_may_be_made_before_its_turn(dag: Path, line: str, before: str) -> None:
    """DAGMan 23.9.6 and 25.14.1 run such DAGs to their end, on a pool; alone the node fails."""
    (dag / "make.sh").write_text("#!/bin/sh\n")
    (dag / "make.sh").chmod(0o755)
    (dag / "w.dag").write_text(f'JOB A a.sub\nVARS A what="x"\n{line}\n{before}\n')
    ran = scaffold("check", "--json", "w.dag", cwd=dag)
    assert (ran.code, ran.document["findings"]) == (0, [])
    [skipped] = [one for one in ran.document["skipped"] if one["what"] == "node B of w.dag"]
    assert "may make it" in skipped["why"]
    (dag / "w.dag").write_text(f'JOB A a.sub\nVARS A what="x"\n{line}\n')
    [finding] = scaffold("check", "--json", "w.dag", cwd=dag).document["findings"]
    assert (finding["rule"], finding["severity"]) == ("PS109", "error")


def test_a_dag_inside_itself_is_refused(dag: Path) -> None:
    (dag / "w.dag").write_text("JOB A a.sub\nSPLICE X w.dag\n")
    ran = scaffold("check", "w.dag", cwd=dag)
    assert "w.dag:2: error PS137: X is this DAG itself" in ran.out


def test_the_nodes_of_a_dag_are_rehearsed_by_the_commands_that_are_told(
    dag: Path,
) -> None:
    (dag / "sub").mkdir()
    for name in ("b.sub", "b.sh"):
        (dag / name).rename(dag / "sub" / name)
    (dag / "sub" / "out-x.txt").write_text("from A\n")
    (dag / "w.dag").write_text(
        'JOB A a.sub\nVARS A what="x"\nJOB B b.sub DIR sub\nVARS B APPEND what="x"\n'
        "JOB C {\n  executable = a.sh\n}\nPARENT A CHILD B\n"
    )
    ran = scaffold("rehearse", "w.dag", cwd=dag)
    assert ran.code == 2, ran
    first, second, third = (line.strip() for line in ran.err.splitlines()[1:4])
    assert "rehearse a.sub JOB=A RETRY=0 what=x" in first
    assert second.startswith("cd sub && ")
    assert "C is described in the DAG itself" in third
    for line, folder in ((first, dag), (second, dag / "sub")):
        words = shlex.split(line.rpartition(" && ")[2])
        ran = scaffold(*words[words.index("rehearse") :], cwd=folder)
        assert ran.code == 0, ran
