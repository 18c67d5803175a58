"""On a machine with an NVIDIA GPU: a rehearsed job reaches it through CUDA, and the report says so.

The driver's own library is asked, so that no environment is needed but for the training:

    pytest -m slow tests/test_rehearse_gpu.py
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import scaffold

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="there is no NVIDIA GPU here"),
]
TEMPLATE = Path(__file__).parents[1] / "template"
PROBE = """\
#!/usr/bin/env python3
import ctypes, time
cuda = ctypes.CDLL("libcuda.so.1")
count, device, context = ctypes.c_int(), ctypes.c_int(), ctypes.c_void_p()
memory, size = ctypes.c_uint64(), ctypes.c_size_t(1 << 20)
for name, code in (
    ("cuInit", cuda.cuInit(0)),
    ("cuDeviceGetCount", cuda.cuDeviceGetCount(ctypes.byref(count))),
    ("cuDeviceGet", cuda.cuDeviceGet(ctypes.byref(device), 0)),
    ("cuCtxCreate", cuda.cuCtxCreate_v2(ctypes.byref(context), 0, device)),
    ("cuMemAlloc", cuda.cuMemAlloc_v2(ctypes.byref(memory), size)),
):
    print(name, code, flush=True)  # 304 without a /proc that can be written
print("GPUs", count.value)
time.sleep(3)
"""


@pytest.fixture
def job(tmp_path: Path) -> Path:
    done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    if "UUID: GPU" not in done.stdout:
        pytest.skip(f"no GPU answers: {done.stdout}{done.stderr}")
    (tmp_path / "probe.py").write_text(PROBE)
    (tmp_path / "probe.py").chmod(0o755)
    lines = ["executable = probe.py", "output = o", "error = e", "request_gpus = 1"]
    lines += ["request_memory = 4GB", "request_disk = 1GB", "queue\n"]
    (tmp_path / "job.sub").write_text("\n".join(lines))
    return tmp_path


def test_cuda_works_in_a_rehearsal(job: Path) -> None:
    ran = scaffold("rehearse", "job.sub", "--json", cwd=job)
    said = (job / ".pixi" / "rehearsal" / "job-0" / "o").read_text()
    codes = [line.split() for line in said.splitlines()]
    assert all(code == "0" for name, code in codes if name.startswith("cu")), (said, ran)
    assert ["GPUs", "1"] in codes, "the one that was asked for"
    found = ran.document["jobs"][0]
    assert "read-only" in found["isolated"]
    assert found["usage"]["gpu"] is True
    rows = {r["name"]: r for r in ran.document["results"]}
    assert rows["device"]["status"] == "passed"
    assert "opened a GPU of this machine" in rows["device"]["detail"]


def test_a_job_that_leaves_the_gpu_alone_is_warned_of(job: Path) -> None:
    (job / "probe.py").write_text("#!/bin/sh\nsleep 2\n")
    ran = scaffold("rehearse", "job.sub", "--json", cwd=job)
    rows = {r["name"]: r for r in ran.document["results"]}
    assert rows["device"]["status"] == "skipped"
    assert "the CPU, although the job asks for a GPU" in rows["device"]["detail"]


def test_the_record_of_a_training_names_the_gpu(job: Path) -> None:
    """main.py as the template has it, with this Python, where that has PyTorch."""
    pytest.importorskip("torch")
    for name in ("main.py", "trainer.py", "runs.py"):
        shutil.copy(TEMPLATE / name, job)
    (job / "probe.py").write_text(f"#!/bin/sh\nexec {sys.executable} main.py --name r --epochs 2\n")
    lines = (
        (job / "job.sub")
        .read_text()
        .replace("queue", "transfer_input_files = main.py, trainer.py, runs.py\nqueue")
    )
    (job / "job.sub").write_text(lines)
    ran = scaffold("rehearse", "job.sub", "--json", "--show", sys.prefix, cwd=job)
    (row,) = (r for r in ran.document["results"] if r["name"] == "device")
    assert row["status"] == "passed", ran
    assert row["detail"].startswith("NVIDIA "), row
    assert row["detail"].endswith(", as runs/r/config.json says")
