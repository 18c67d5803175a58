"""What a rehearsed job can reach of this machine; what the kernel lets it do is the judge."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pixi_scaffold.rehearsal.isolation import Walls, account_for, gpu_devices
from tests.support.command import scaffold

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="namespaces are a thing of Linux")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="started by root it is another way")


def rehearsed(folder: Path, script: str, *options: object) -> tuple[dict, str]:
    """The JSON of a job, and what it printed."""
    (folder / "job.sh").write_text(f"#!/bin/bash\n{script}\n")
    (folder / "job.sh").chmod(0o755)
    (folder / "job.sub").write_text(
        "executable = job.sh\noutput = o\nerror = e\nrequest_memory = 1GB\nrequest_disk = 1GB\nqueue\n"
    )
    ran = scaffold("rehearse", "job.sub", "--json", *options, cwd=folder)
    job = ran.document["jobs"][0]
    if "files" not in job["isolated"] and "--no-isolation" not in options:
        pytest.skip(f"no namespaces here: {job['notes']}")
    return job, (folder / ".pixi" / "rehearsal" / "job-0" / "o").read_text()


def test_the_jobs_own_proc_can_be_written_as_cuda_does(tmp_path: Path) -> None:
    """cuInit writes /proc/self/task/*/comm; read-only, it fails with error 304 (seen on an H200)."""
    script = (
        "for f in /proc/self/task/*/comm; do echo name > $f && echo written; done\n"
        "for f in sys/vm/swappiness sysrq-trigger; do (: >> /proc/$f) 2> /dev/null || echo kept; done"
    )
    job, said = rehearsed(tmp_path, script)
    if "processes" not in job["isolated"]:
        pytest.skip("this machine does not let /proc be mounted")
    assert said.split() == ["written", "kept", "kept"]


def test_dev_holds_the_usual_and_the_gpus(tmp_path: Path) -> None:
    host = tmp_path / "dev"
    host.mkdir()
    for name in ("nvidia0", "nvidiactl", "nvidia-uvm", "dri", "kfd", "sda", "kvm", "mem", "null"):
        (host / name).touch()
    assert gpu_devices(host) == ["dri", "kfd", "nvidia-uvm", "nvidia0", "nvidiactl"]
    script = (
        "ls /dev; ls /dev/pts; echo x > /dev/null; head -c 1 /dev/urandom | wc -c\n"
        "echo through a link >> /dev/stdout\n"
        "python3 -c 'import os, pty; print(os.isatty(pty.openpty()[1]))'"
    )
    _, said = rehearsed(tmp_path, script)
    usual = [
        "fd",
        "full",
        "null",
        "ptmx",
        "pts",
        "random",
        "shm",
        "stderr",
        "stdin",
        "stdout",
        "tty",
    ]
    usual += ["urandom", "zero"]
    there = said.split("ptmx\n1\n")[0].split()
    assert sorted({*there, "ptmx"} - set(gpu_devices())) == usual
    assert said.splitlines()[-3:] == ["1", "through a link", "True"]


@pytest.mark.skipif(shutil.which("perl") is None, reason="perl is how the system call is made")
def test_a_job_gains_no_rights_and_no_keys(tmp_path: Path) -> None:
    """The key is in the caller's session keyring, where Kerberos keeps tickets."""
    look = (
        "grep NoNewPrivs /proc/self/status\n"
        'perl -e \'$t="user"; $d="a-key"; $k=syscall(249,$t,$d,0,0); print "key $k\\n"\''
    )
    rehearsed(tmp_path, look)
    add = (
        '$z=0; syscall(250,1,$z); $t="user"; $d="a-key"; $p="secret"; '
        "syscall(248,$t,$d,$p,6,-3) > 0 or exit 77; "
        "$k=syscall(249,$t,$d,0,0); $k > 0 or exit 77; exec @ARGV"
    )
    argv = ["perl", "-e", add, sys.executable, "-m", "pixi_scaffold", "rehearse", "job.sub"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    if os.uname().machine != "x86_64" or done.returncode == 77:
        pytest.skip("no keyrings here, or other numbers of system calls")
    assert done.returncode == 0, done
    said = (tmp_path / ".pixi" / "rehearsal" / "job-0" / "o").read_text()
    assert said.split() == ["NoNewPrivs:", "1", "key", "-1"]


@as_root
def test_started_by_root_it_runs_as_nobody(tmp_path: Path) -> None:
    script = "id -u; cat /etc/shadow | wc -c; echo more >> job.sh && touch new /tmp/new && echo can write"
    job, said = rehearsed(tmp_path, script)
    assert job["isolated_by"] == "user namespace"
    assert said.split("\n")[:3] == ["65534", "0", "can write"]
    assert not any("root" in note for note in job["notes"])


@as_root
def test_what_only_root_may_read_is_shown_as_root_and_told(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    (private / "f").write_text("of root\n")
    (private / "f").chmod(0o600)
    assert account_for(Walls(show=(private,))) is None
    job, said = rehearsed(tmp_path, f"cat {private}/f", "--show", private)
    assert said == "of root\n"
    assert any("started by root, the job can read root's files" in note for note in job["notes"])


def test_the_report_says_that_nothing_is_isolated(tmp_path: Path) -> None:
    job, _ = rehearsed(tmp_path, "true", "--no-isolation")
    assert job["isolated_by"] == "none"


@as_root
def test_where_user_namespaces_are_forbidden_root_isolates_by_its_own_rights(
    tmp_path: Path,
) -> None:
    """Forbidden inside a user namespace of this test's, which knows every account."""
    rehearsed(tmp_path, "id -u; cat /etc/shadow | wc -c; echo > /etc/rehearsed")
    tool = [sys.executable, "-m", "pixi_scaffold", "rehearse", "job.sub"]
    code = (
        "import ctypes, os, sys\n"
        "if ctypes.CDLL(None).unshare(0x10000000): sys.exit(77)\n"
        "print(flush=True); input()\n"
        "open('/proc/sys/user/max_user_namespaces', 'w').write('0')\n"
        f"os.execv({sys.executable!r}, {tool!r})"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdin=pipe, stdout=pipe, text=True
    ) as child:
        assert child.stdout is not None
        if not child.stdout.readline():
            pytest.skip("no user namespaces here")
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{child.pid}/{name}").write_text("0 0 65536")
        out, _ = child.communicate("\n")
    assert "isolated (root)" in " ".join(out.split()), out
    said = (tmp_path / ".pixi" / "rehearsal" / "job-0" / "o").read_text()
    assert said.split() == ["65534", "0"]
    assert not Path("/etc/rehearsed").exists()


def test_a_shell_sees_what_the_job_sees(tmp_path: Path) -> None:
    """As condor_ssh_to_job would; a terminal of its own, and the exit code says nothing of the job."""
    rehearsed(tmp_path, "echo the job itself")
    typed = (
        f"test -t 0 && ls; cat {tmp_path}/job.sub; echo $_CONDOR_SLOT > slot; cat slot; exit 3\n"
    )
    ran = scaffold("rehearse", "job.sub", "--shell", cwd=tmp_path, stdin=typed, timeout=600)
    assert ran.code == 0, ran
    words = ran.out.split()
    assert {"job.sh", "slot1_1"} <= set(words)
    assert f"cat: {tmp_path}/job.sub: No such file" in ran.out
    assert "left with exit code 3" in " ".join(words)
    assert scaffold("rehearse", "job.sub", "--shell", "--all", cwd=tmp_path).code == 2


def test_a_sandbox_that_was_kept_is_entered_by_the_command_that_is_told(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    keep = ("--keep", "--scratch", scratch)
    rehearsed(tmp_path, "echo written by the job > made; exit 7", *keep)
    ran = scaffold("rehearse", "job.sub", *keep, "--json", cwd=tmp_path)
    [command] = ran.document["next"]
    told = shlex.split(command.partition("pixi_scaffold ")[2])
    assert told[:-1] == ["rehearse", "job.sub", "--shell", "--sandbox"]
    shell = scaffold(*told, cwd=tmp_path, stdin="cat made; pwd; exit\n", timeout=600)
    assert shell.code == 0, shell
    assert "written by the job" in shell.out
    assert f"{told[-1]}/sandbox-1/scratch" in shell.out
    assert Path(told[-1]).is_dir(), "it is still there"
    nowhere = scaffold("rehearse", "job.sub", "--shell", "--sandbox", tmp_path, cwd=tmp_path)
    assert nowhere.code == 2
