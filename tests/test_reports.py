"""Reports as support desks of pools get them: each is told, and its good counterpart is not.

They are of the kinds that CHTC, the OSPool, lxplus, DESY and RAL answer in their guides. The judge of what
becomes of such a job is a real pool (test_severities_on_a_pool.py has those that end), HTCondor's own matching
for those that stay idle, and a dry run for what the ad then says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pixi_scaffold.check import review
from pixi_scaffold.job import htcondor as condor
from pixi_scaffold.job import job_ad, meaning, read_description
from pixi_scaffold.report import Silent
from pixi_scaffold.rules import Severity

SETTINGS = {
    "executable": "run.sh", "should_transfer_files": "YES", "log": "j.log", "output": "j.$(Process).out",
    "error": "j.$(Process).err", "request_cpus": "1", "request_memory": "1GB", "request_disk": "1GB",
}  # fmt: skip
PYTHON = "#!/bin/sh\nexec python3 t.py\n"


@dataclass(frozen=True)
class Job:
    """Lines of a description, its script, files beside it (of mode 0644 but for run.sh)."""

    lines: str = ""
    run: str = "#!/bin/sh\nexec date\n"
    files: Mapping[str, str] = field(default_factory=dict)
    queue: str = "queue"
    without: tuple[str, ...] = ()

    def lay_out(self, folder: Path) -> Path:
        """Write the job's folder; return its description."""
        for name, text in {"run.sh": self.run, **self.files}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (folder / "run.sh").chmod(0o755)
        given = {line.partition("=")[0].strip() for line in self.lines.splitlines()}
        left = {k: v for k, v in SETTINGS.items() if k not in given and k not in self.without}
        text = "".join(f"{k} = {v}\n" for k, v in left.items())
        path = folder / "job.sub"
        path.write_text(f"{text}{self.lines}\n{self.queue}\n")
        return path


def sub(lines: str, queue: str = "queue", without: tuple[str, ...] = ()) -> Job:
    return Job(lines, queue=queue, without=without)


def sh(*lines: str) -> Job:
    return Job(run="\n".join(["#!/bin/bash", "set -e", *lines, ""]))


def py(program: str, lines: str = "", **files: str) -> Job:
    named = {name.replace("_csv", ".csv"): text for name, text in files.items()}
    inputs = "" if "transfer_input_files" in lines else "transfer_input_files = t.py\n"
    return Job(inputs + lines, PYTHON, {"t.py": program, **named})


def items(text: str, queue: str, variables: str = "$(a) $(b)") -> Job:
    return Job(f'arguments = "{variables}"', files={"list.txt": text}, queue=queue)


IMAGE = "container_image = docker://a/b:1"
IDLE = {
    "two machines at once": (sub('requirements = TARGET.Machine == "a" && TARGET.Machine == "b"'), sub('requirements = TARGET.Machine == "a" || TARGET.Machine == "b"')),
    "less memory than is asked for": (sub("requirements = Memory < 500"), sub("requirements = Memory > 500")),
    "a release that is new and old": (sub("requirements = OpSysMajorVer >= 9 && 8 >= OpSysMajorVer"), sub("requirements = OpSysMajorVer >= 9 || OpSysMajorVer == 8")),
    "contradictions in each alternative": (sub('requirements = (Cpus > 8 && Cpus < 4) || (Arch == "X86_64" && Arch == "aarch64")'), sub('requirements = (Cpus > 8 && Cpus < 4) || Arch == "X86_64"')),
    "a number as a text": (sub('requirements = OpSysMajorVer == "9"'), sub("requirements = OpSysMajorVer == 9")),
    "a truth as a text": (sub('requirements = HasSingularity == "true"'), sub("requirements = HasSingularity == true")),
    "a GPU that is new and old": (sub("request_gpus = 1\nrequire_gpus = Capability >= 9.0 && Capability < 8.0"), sub("request_gpus = 1\nrequire_gpus = Capability >= 8.0 && Capability < 9.0")),
    "half of a GPU's name": (sub('request_gpus = 1\nrequire_gpus = DeviceName == "A100"'), sub('request_gpus = 1\nrequire_gpus = DeviceName == "NVIDIA A100-SXM4-80GB"')),
    "a system of ten years ago": (sub('requirements = OpSysAndVer =?= "CentOS7"'), sub('requirements = OpSysAndVer =?= "AlmaLinux9"')),
}  # fmt: skip
"""All by PS138: the job stays idle."""
REPORTS = {
    "PS108: a range as Python has it": (sub("arguments = $(i)", "queue i in range(10)"), sub("arguments = $(Process)", "queue 10")),
    "PS108: a range as the shell has it": (sub("arguments = $(i)", "queue i in 1..10"), sub("arguments = $(i)", "queue i in (1 2 10)")),
    "PS108: more jobs than are taken": (sub("", "queue 200000"), sub("max_materialize = 500", "queue 200000")),
    "PS121: columns that nobody named": (items("x,1,2\ny,3,4\n", "queue a, b from list.txt"), items("x,1\ny,3\n", "queue a, b from list.txt")),
    "PS121: a byte order mark before the list": (items("\ufeffx\ny\n", "queue a from list.txt", "$(a)"), items("x\ny\n", "queue a from list.txt", "$(a)")),
    "PS122: a service without its port": (sub(f"{IMAGE}\ncontainer_service_names = web"), sub(f"{IMAGE}\ncontainer_service_names = web\nweb_container_port = 8080")),
    "PS122: a port that there is not": (sub(f"{IMAGE}\ncontainer_service_names = web\nweb_container_port = 80800"), sub(IMAGE)),
    "PS123: a space in an old environment": (sub("environment = A=1 B=2"), sub("environment = A=1;B=2")),
    "PS123: commas in an environment": (sub('environment = "A=1, B=2"'), sub('environment = "A=1,2 B=2"')),
    "PS128: a GPU in the requirements alone": (sub("requirements = TotalGPUs > 0"), sub("request_gpus = 1\nrequirements = TotalGPUs > 0")),
    "PS130: all cores of the machine": (py("import os\nn = os.cpu_count()\n"), py("import os\nn = os.environ['OMP_NUM_THREADS']\n")),
    "PS130: sixteen threads on one core": (sh("export OMP_NUM_THREADS=16", "date"), sh("export OMP_NUM_THREADS=1", "date")),
    "PS133: every missing input is released": (sub("periodic_release = HoldReasonCode == 13"), sub("periodic_release = HoldReasonCode == 13 && NumJobStarts < 3")),
    "PS133: a release by the clock alone": (sub("periodic_release = (time() - EnteredCurrentStatus) > 600"), sub("periodic_release = (time() - EnteredCurrentStatus) > 600 && NumHolds < 5")),
    "PS133: a failure that starts again": (sub("on_exit_remove = ExitCode == 0"), sub("on_exit_remove = ExitCode == 0\nmax_retries = 3")),
    "PS134: arguments of a shell": (sub("arguments = $1 $2"), sub("arguments = $(Process) x")),
    "PS134: a home in the inputs": (sub("transfer_input_files = $HOME/x.txt"), sub("")),
    "PS134: braces around a macro": (sub("output = out.${Process}.txt"), sub("output = out.$(Process).txt")),
    "PS134: a path of a shell": (sub('environment = "PATH=$PATH:/opt/bin"'), sub('environment = "PATH=/opt/bin:/usr/bin"')),
    "PS134: a command of a shell": (sub("x509userproxy = /tmp/x509up_u$(id -u)"), sub("transfer_input_files = run.sh")),
    "PS138: a requirement that cannot hold": IDLE["two machines at once"],
    "PS139: a misspelt flavour": (sub('+JobFlavour = "tommorow"'), sub('+JobFlavour = "tomorrow"')),
    "PS139: seconds in quotes": (sub('+MaxRuntime = "3600"'), sub("+MaxRuntime = 3600")),
    "PS139: true in quotes": (sub('request_gpus = 1\n+WantGPULab = "true"'), sub("request_gpus = 1\n+WantGPULab = true")),
    "PS139: a length that there is not": (sub('request_gpus = 1\n+GPUJobLength = "tiny"'), sub('request_gpus = 1\n+GPUJobLength = "short"')),
    "PS139: a request behind a plus": (sub("+request_gpus = 1"), sub("request_gpus = 1")),
    "PS140: single quotes alone": (sub("arguments = --name 'two words'"), sub("arguments = \"--name 'two words'\"")),
    "PS141: submitted on hold": (sub("hold = true"), sub("hold = false")),
    "PS141: it stays when it is done": (sub("leave_in_queue = true"), sub("leave_in_queue = JobStatus == 4 && time() - CompletionDate < 86400")),
    "PS141: held whatever it does": (sub("periodic_hold = 1"), sub("periodic_hold = NumJobStarts > 3")),
    "PS141: removed whatever it does": (sub("periodic_remove = true"), sub("periodic_remove = JobStatus == 5")),
    "PS141: held also when it went well": (sub("on_exit_hold = true"), sub("on_exit_hold = ExitCode != 0")),
    "PS141: held before it is tried again": (sub("max_retries = 3\non_exit_hold = ExitCode != 0"), sub("max_retries = 3\non_exit_hold = ExitCode != 0 && NumJobCompletions >= 3")),
    "PS142: nothing is kept of what it prints": (sub("", without=("log", "output", "error")), sub("", without=("log",))),
    "PS203: python, which is python3": (Job("executable = t.py", files={"t.py": "#!/usr/bin/python\nprint(1)\n"}), Job("executable = t.py", files={"t.py": "#!/usr/bin/python3\nprint(1)\n"})),
    "PS108: a pattern in a list": (sub("arguments = $(x)", "queue x in *.csv"), Job('arguments = "$(x)"', files={"a.csv": ""}, queue="queue x matching *.csv")),
    "PS121: a heading over a column of numbers": (Job('arguments = "$(a) $(b)"', files={"l.csv": "name, rate\nx, 1\ny, 2\n"}, queue="queue a, b from l.csv"), Job('arguments = "$(a) $(b)"', files={"l.csv": "x, 1\ny, 2\n"}, queue="queue a, b from l.csv")),
    "PS128: nvidia-smi without a GPU": (sh("nvidia-smi"), sh("if command -v nvidia-smi; then nvidia-smi; fi")),
    "PS128: a GPU's name without a GPU": (py("import torch\nprint(torch.cuda.get_device_name(0))\n", IMAGE), py("import torch\nprint(torch.cuda.get_device_name(0))\n", f"{IMAGE}\nrequest_gpus = 1")),
    "PS130: the second GPU of one in the arguments": (sub("request_gpus = 1\narguments = --device cuda:1"), sub("request_gpus = 2\narguments = --device cuda:1")),
    "PS130: the second GPU of one in the program": (py("import torch\nd = torch.device('cuda:1' if torch.cuda.is_available() else 'cpu')\n", f"{IMAGE}\nrequest_gpus = 1"), py("import torch\nd = torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')\n", f"{IMAGE}\nrequest_gpus = 1")),
    "PS130: a list of GPUs": (sub("request_gpus = 1\narguments = --gpus 0,1"), sub("request_gpus = 2\narguments = --gpus 0,1")),
    "PS130: eight workers of a DataLoader on one core": (py("from torch.utils.data import DataLoader\nDataLoader([], num_workers=8)\n", IMAGE), py("from torch.utils.data import DataLoader\nDataLoader([], num_workers=8)\n", f"{IMAGE}\nrequest_cpus = 8")),
    "PS130: a pool of processes on one core": (py("from multiprocessing import Pool\nPool(16)\n"), py("from multiprocessing import Pool\nPool(2)\n", "request_cpus = 2")),
    "PS130: mpirun on one core": (sh("mpirun -np 4 ./run.sh"), Job("request_cpus = 4", sh("mpirun -np 4 ./run.sh").run)),
    "PS130: make on one core": (sh("make -j16 all"), sh("make all")),
    "PS134: a sum of the shell": (sub("arguments = $((Process+1))"), sub("n = $(Process) + 1\narguments = $INT(n)")),
    "PS143: machines in the vanilla universe": (sub("machine_count = 4"), sub("request_cpus = 4")),
    "PS144: a sum in the arguments": (sub("arguments = $(Process)+1"), sub("n = $(Process) + 1\narguments = $INT(n)")),
    "PS144: the program's own name": (sub("arguments = run.sh --n 3"), sub("arguments = --n 3")),
    "PS144: the interpreter twice": (sub("executable = /usr/bin/python3\ntransfer_executable = false\narguments = python -V"), sub("executable = /usr/bin/python3\ntransfer_executable = false\narguments = -V")),
    "PS145: quotes around an output": (sub('output = "j.out"'), sub("output = j.out")),
    "PS206: a name that only begins like the file": (Job("transfer_output_files = model.pt", sh("date > model.pth").run), Job("transfer_output_files = model.pth", sh("date > model.pth").run)),
    "PS225: a folder that is not made there": (sh("date > results/x"), sh("mkdir -p results", "date > results/x")),
    "PS225: a folder that a program does not make": (py("with open('results/x.csv', 'w') as f:\n    f.write('1')\n"), py("import os\nos.makedirs('results')\nwith open('results/x.csv', 'w') as f:\n    f.write('1')\n")),
    "PS146: commas between arguments": (sub("arguments = 1, 2, 3"), sub("arguments = --list 1,2,3 x")),
    "PS146: a comma before an option": (sub('arguments = "--a 1, --b 2"'), sub('arguments = "--names \'a, b\' --b 2"')),
    "PS147: half a GPU": (sub("request_gpus = 0.5"), sub("request_gpus = 1")),
    "PS148: a remap to itself": (Job('transfer_output_files = a, b\ntransfer_output_remaps = "b = c; a = a"', sh("touch a b").run), Job('transfer_output_files = a, b\ntransfer_output_remaps = "b = c; a = aa"', sh("touch a b").run)),
    "PS210: a folder that is read as its content": (Job("transfer_input_files = data, t.py", PYTHON, {"t.py": "open('x.csv')\n", "data/x.csv": ""}), Job("transfer_input_files = data/, t.py", PYTHON, {"t.py": "open('x.csv')\n", "data/x.csv": ""})),
    "PS210: a content that is read as its folder": (Job("transfer_input_files = data/", sh("cat data/x.csv").run, {"data/x.csv": ""}), Job("transfer_input_files = data", sh("cat data/x.csv").run, {"data/x.csv": ""})),
    "PS210: a folder in the arguments": (Job("transfer_input_files = in/data/\narguments = --train data/x.csv", files={"in/data/x.csv": ""}), Job("transfer_input_files = in/data\narguments = --train data/x.csv", files={"in/data/x.csv": ""})),
    "PS227: a folder that stays here": (Job("", sh("cd src", "date").run, {"src/x": ""}), Job("transfer_input_files = src", sh("cd src", "date").run, {"src/x": ""})),
    "PS227: a folder that nobody has": (sh("cd work && date"), sh("mkdir -p work", "cd work && date")),
    "PS227: a folder behind other commands": (sh("set -e; date && cd work"), sh("set -e; mkdir work && cd work")),
    "PS227: a folder to pack": (sh("date", "tar czf r.tgz results"), sh("date", "mkdir results", "tar czf r.tgz results")),
    "PS227: a folder to pack that a program may make": (sh("set -e; tar -cf r.tar results"), sh("set -e; ./sim; tar -cf r.tar results")),
    "PS206: an output that is removed": (Job("transfer_output_files = a", sh("touch a", "rm -rf *", "exit 0").run), Job("transfer_output_files = a", sh("mkdir w", "cd w", "touch ../a", "rm -rf *").run)),
    "PS206: an output that is made after all is removed": (Job("transfer_output_files = a", sh("touch a", "rm -r -f ./*").run), Job("transfer_output_files = a", sh("rm -rf *", "touch a").run)),
    "PS206: a folder that is removed": (Job("transfer_output_files = d", sh("mkdir d", "rm -f -r *").run), Job("transfer_output_files = d", sh("mkdir d", "rm -f *").run)),
    "PS206: all is removed, and nothing is to come back": (Job("transfer_output_files = a", sh("touch a", "rm -rf *").run), Job('transfer_output_files = ""', sh("touch a", "rm -rf *").run)),
    "PS208: a URL into no folder": (Job('transfer_output_files = a\ntransfer_output_remaps = "a = file:///etc/ssl/no-such-folder/a"', sh("touch a").run), Job('transfer_output_files = a\ntransfer_output_remaps = "a = file:///tmp/a"', sh("touch a").run)),
    "PS208: a folder that the script makes there": (Job('transfer_output_files = a\noutput_destination = file:///etc/ssl/no-such-folder/', sh("touch a").run), Job('transfer_output_files = a\noutput_destination = file:///etc/ssl/no-such-folder/', sh("touch a", "mkdir -p /etc/ssl/no-such-folder").run)),
    "PS227: a folder without itself": (Job("transfer_input_files = src/", sh("export A=1", "cd src || exit 1", "date").run, {"src/x": ""}), Job("transfer_input_files = src/", sh("export A=1", "cd src || true", "date").run, {"src/x": ""})),
    "PS225: another folder is made": (sh("mkdir -p tmp", "date > results/x"), sh("mkdir -p tmp $1", "date > results/x")),
    "PS225: a program makes another folder": (py("import os\nos.makedirs('tmp')\nwith open('results/x.csv', 'w') as f:\n    f.write('1')\n"), py("import os, sys\nos.makedirs(sys.argv[1])\nwith open('results/x.csv', 'w') as f:\n    f.write('1')\n")),
    "PS318: a comment speaks of --nv": (Job("request_gpus = 1\ntransfer_input_files = x.sif", sh("# TODO try --nv", "apptainer exec x.sif date").run, {"x.sif": ""}), Job("request_gpus = 1\ntransfer_input_files = x.sif", sh("apptainer exec x.sif tar xf a.tar", "apptainer exec --nv x.sif date").run, {"x.sif": ""})),
    "PS318: one of two lines": (Job("request_gpus = 1\ntransfer_input_files = x.sif", sh("apptainer exec --nv x.sif nvidia-smi", "apptainer exec x.sif python3 -m train").run, {"x.sif": ""}), Job("request_gpus = 1\ntransfer_input_files = x.sif", sh("apptainer exec x.sif cp /a b", "apptainer exec --nv x.sif python3 -m train").run, {"x.sif": ""})),
    "PS226: a machine's value beside common input": (sub("transfer_common_input = run.sh\narguments = $$(Name)"), sub("transfer_common_input = run.sh\narguments = $$(Name:none)")),
    "PS304: a home in a program": (py("import os\nopen(os.path.expanduser('~/x')).read()\n"), py("open('x').read()\n")),
    "PS304: a home that may be unset": (py("import os\nprint(os.environ['HOME'])\n"), py("import os\nprint(os.environ.get('HOME'))\n")),
    "PS311: a folder at the top of the disk": (sh("mkdir -p /results"), sh("mkdir -p results", "tar czf r.tar.gz results")),
    "PS311: an output at the top of the disk": (sh("date > /output/x.txt"), sh("date > x.txt", "date > /dev/null", "date > /tmp/x")),
    "PS311: a program that writes there": (py("import os\nos.makedirs('/results', exist_ok=True)\n"), py("import os\nos.makedirs('results', exist_ok=True)\n")),
    "PS311: a home in the arguments": (sub("arguments = --data /home/jane/data"), sub("arguments = --data data")),
    "PS313: who is at the terminal": (py("import os\nprint(os.getlogin())\n"), py("import getpass\nprint(getpass.getuser())\n")),
    "PS313: a key that is not given": (py("import wandb\nwandb.init(project='x')\n", IMAGE), py("import wandb\nwandb.init(project='x', mode='offline')\n", IMAGE)),
    "PS318: a container without the GPU": (Job("request_gpus = 1\ntransfer_input_files = x.sif", sh("apptainer exec x.sif nvidia-smi").run, {"x.sif": ""}), Job("request_gpus = 1\ntransfer_input_files = x.sif", sh("apptainer exec --nv x.sif nvidia-smi").run, {"x.sif": ""})),
    "PS318: a container that is run without the GPU": (Job("request_gpus = 1\ntransfer_input_files = x.sif", sh("singularity run x.sif").run, {"x.sif": ""}), Job("request_gpus = 1\ntransfer_input_files = x.sif", sh("NV=--nv", "singularity run $NV x.sif").run, {"x.sif": ""})),
    "PS319: one port for all": (sh("export MASTER_PORT=29500"), sh("export MASTER_PORT=0")),
    "PS406: capitals in an image's name": (sub("universe = docker\ndocker_image = Lab/Image:1"), sub("universe = docker\ndocker_image = Registry.example.net:5000/lab/image:V1")),
    "PS201: a command line as executable": (sub("executable = run.sh --epochs 3"), sub("arguments = --epochs 3")),
    "PS208: a folder as output": (Job("output = logs/", files={"logs/.gitkeep": ""}), Job("output = logs/o", files={"logs/.gitkeep": ""})),
    "PS209: data that the program opens": (py("print(open('data.csv').read())\n", data_csv="1\n"), py("print(open('data.csv').read())\n", "transfer_input_files = t.py, data.csv", data_csv="1\n")),
    "PS214: remaps parted by commas": (Job('transfer_output_files = a, c\ntransfer_output_remaps = "a=b, c=d"', sh("date > a", "date > c").run), Job('transfer_output_files = a, c\ntransfer_output_remaps = "a=b; c=d"', sh("date > a", "date > c").run)),
    "PS215: the whole folder": (sub("transfer_input_files = ./"), sub("transfer_input_files = run.sh")),
    "PS220: a misspelt scheme": (sub("transfer_input_files = osfd:///ospool/x.tar"), sub("transfer_input_files = osdf:///ospool/x.tar")),
    "PS220: a page of GitHub": (sub("transfer_input_files = https://github.com/a/b/blob/main/x.csv"), sub("transfer_input_files = https://github.com/a/b/raw/main/x.csv")),
    "PS220: a URL as output": (Job("transfer_output_files = osdf:///a/x.tar", sh("date > x.tar").run), Job('transfer_output_files = x.tar\ntransfer_output_remaps = "x.tar = osdf:///a/x.tar"', sh("date > x.tar").run)),
    "PS221: a helper without x": (Job("transfer_input_files = h.sh", sh("./h.sh").run, {"h.sh": "#!/bin/sh\ndate\n"}), Job("transfer_input_files = h.sh", sh("bash h.sh").run, {"h.sh": "#!/bin/sh\ndate\n"})),
    "PS222: a virtual environment": (Job("transfer_input_files = venv", sh("venv/bin/python -V").run, {"venv/pyvenv.cfg": "home = /usr/bin\n"}), Job("transfer_input_files = data", sh("ls data").run, {"data/x": ""})),
    "PS222: an interpreter of one's own": (sub("executable = /opt/conda/bin/python3"), sub("executable = /opt/conda/bin/python3\ntransfer_executable = false")),
    "PS223: a folder that stays there": (sh("mkdir -p results", "date > results/x"), Job("transfer_output_files = results", sh("mkdir -p results", "date > results/x").run)),
    "PS224: an archive that stays here": (sh("tar xzf data.tar.gz"), Job("transfer_input_files = data.tar.gz", sh("tar xzf data.tar.gz").run, {"data.tar.gz": ""})),
    "PS224: an environment that is not there": (sh(". venv/bin/activate"), Job("transfer_input_files = env.sh", sh("# shellcheck source=/dev/null", ". ./env.sh").run, {"env.sh": "export A=1\n"})),
    "PS310: a variable of Slurm": (sh('echo "$SLURM_ARRAY_TASK_ID"'), sh('echo "$1"')),
    "PS310: a job that submits the next": (sh("condor_submit next.sub"), sh("echo condor_submit")),
    "PS311: data above the folder": (sh("cat ../data.csv"), sh("cat run.sh")),
    "PS311: a disk of one site": (sh("cat /eos/user/j/jane/x"), sh("cat /etc/hostname")),
    "PS312: a package of the system": (sh("apt-get update", "apt-get install -y jq"), sh("echo apt-get")),
    "PS313: a question": (py("x = input('go on? ')\n"), py("x = input('go on? ')\n", "input = run.sh\n")),
    "PS313: a question of the shell": (sh("read -r answer", 'echo "$answer"'), sh("read -r answer < run.sh", 'echo "$answer"')),
    "PS313: a password": (py("import getpass\ngetpass.getpass()\n"), py("def getpass():\n    return 1\n")),
    "PS313: a debugger": (py("breakpoint()\n"), py("# breakpoint()\n")),
    "PS313: a window": (py("import turtle\nturtle.forward(1)\n"), py("print('turtle.forward(1)')\n")),
    "PS313: a copy to the access point": (sh("date > x", "scp x jane@login.example.net:out/"), sh("date > x")),
    "PS313: a repository with a key": (sh("git clone git@github.com:lab/private.git"), sh("git clone https://github.com/lab/public.git")),
    "PS313: a container of Docker's": (sh("docker run --rm ubuntu date"), sub(IMAGE)),
    "PS313: a notebook server": (sh("jupyter lab --no-browser"), sh("jupyter nbconvert --execute run.sh")),
    "PS314: pip": (sh("python3 -m pip install -r requirements.txt"), sh("python3 -m pip install --no-index wheels/x.whl")),
    "PS314: conda": (sh("conda env create -f environment.yml"), sh("conda info")),
    "PS314: R": (sh("Rscript -e 'install.packages(\"dplyr\")'"), sh("Rscript -e 'library(dplyr)'")),
    "PS315: a data set": (py("from torchvision import datasets\nd = datasets.MNIST('d', download=True)\n", IMAGE), py("from torchvision import datasets\nd = datasets.MNIST('d', download=False)\n", IMAGE)),
    "PS315: a model": (py("import transformers as t\nm = t.AutoModel.from_pretrained('bert-base')\n", IMAGE), py("import transformers as t\nm = t.AutoModel.from_pretrained('./bert')\n", IMAGE)),
    "PS316: Python 2": (py("print 'x'\n"), py("print('x')\n")),
    "PS316: a notebook as a program": (sh("python3 t.ipynb"), sh("python3 -V")),
    "PS317: a package of the access point": (py("import pandas\n"), py("import pandas\n", IMAGE)),
}  # fmt: skip
"""What is reported, by the rule that has to tell it: the job, and how it should have been."""


def told(job: Job, folder: Path) -> set[tuple[str, Severity]]:
    return {(f.rule, f.severity) for f in review([job.lay_out(folder)], Silent()).findings}


@pytest.mark.parametrize("name", [*REPORTS, *(f"PS138: {name}" for name in IDLE)])
def test_a_report_is_told_and_its_good_counterpart_is_not(name: str, tmp_path: Path) -> None:
    rule, _, title = name.partition(": ")
    bad, good = REPORTS[name] if name in REPORTS else IDLE[title]
    assert rule in {told_rule for told_rule, _ in told(bad, tmp_path / "bad")}
    about_good = told(good, tmp_path / "good")
    assert rule not in {told_rule for told_rule, _ in about_good}
    assert Severity.ERROR not in {severity for _, severity in about_good}, about_good


def test_there_are_as_many_as_were_wanted() -> None:
    assert len(REPORTS) + len(IDLE) >= 40


@pytest.mark.parametrize("name", IDLE)
def test_htcondor_matches_no_slot_with_what_is_said_to_stay_idle(name: str, tmp_path: Path) -> None:
    """The judge is HTCondor's own matching, over slots that are typical."""
    if not condor.available():
        pytest.skip("HTCondor's bindings are not installed")
    bad, _ = IDLE[name]
    job = read_description(bad.lay_out(tmp_path), tmp_path).jobs[0]
    assert condor.match(job_ad(meaning(job)), condor.read_slots(condor.TYPICAL)).matching == 0


def test_docker_credentials_are_looked_for_where_they_are_to_be_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dry run of 25.14.1 refuses the first; 23.9.6 does not look at the command."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    job = sub("universe = docker\ndocker_image = a/b:1\ndocker_send_credentials = true")
    assert ("PS122", Severity.WARNING) in told(job, tmp_path / "job")
    config = tmp_path / "home" / ".docker" / "config.json"
    config.parent.mkdir(parents=True)
    config.touch()
    assert "PS122" not in {rule for rule, _ in told(job, tmp_path / "job")}


def script(lines: str, run: str, files: Mapping[str, str] | None = None) -> Job:
    return Job(lines, sh(run).run, files or {})


CORRECT = {
    "unpack behind a semicolon": script("transfer_input_files = d.tar.gz", "set -e; tar xzf d.tar.gz\ncd data", {"d.tar.gz": ""}),
    "unpack behind a word": script("transfer_input_files = d.tar.gz", "echo unpack && tar xzf d.tar.gz\ncd data", {"d.tar.gz": ""}),
    "unpack with a variable": script("transfer_input_files = d.tar.gz", "LC_ALL=C tar xzf d.tar.gz\ncd data", {"d.tar.gz": ""}),
    "unpack by env": script("transfer_input_files = d.tar.gz", "env LC_ALL=C tar xzf d.tar.gz\ncd data", {"d.tar.gz": ""}),
    "mkdir on the same line": script("", "mkdir d; echo 1 > d/x"),
    "mkdir on the same line, with a parent": script("", "mkdir -p d/e && echo 1 > d/e/x"),
    "cd to where it is": script("", "cd ./\ndate"),
    "cd back": script("", "cd \"$_CONDOR_SCRATCH_DIR\"\ncd -\ndate"),
    "cd twice": script("", "mkdir -p build/sub && cd build\ncd sub"),
    "cd into the second": script("", "mkdir -p logs work\ncd work"),
    "cd into one of several": script("", "mkdir -p {logs,work}\ncd work"),
    "cd after a function": script("", "setup_data\ncd work"),
    "cd in project": script("transfer_input_files = a.csv", "cd $_CONDOR_SCRATCH_DIR\ncat a.csv > b.csv", {"a.csv":""}),
    "R makes dir": script("transfer_input_files = a.R", "Rscript a.R\ngzip -c a.R > results/x.gz", {"a.R":"dir.create('results')\n"}),
    "tool makes dir": script("", "spades.py -o results\nsort /etc/hosts > results/summary.txt"),
    "tool makes dir2": script("", "python3 -m pip --version\nfastp --outdir=results\ncat /etc/hosts > results/summary.txt"),
    "tar earlier": script("transfer_input_files = d.tar.gz", "tar xzf d.tar.gz\ncat /etc/hosts > data/summary.txt", {"d.tar.gz":""}),
    "perl mkdir": script("transfer_input_files = a.jl", "julia a.jl\ndate > out/log.txt", {"a.jl":"mkpath(\"out\")\n"}),
    "variable mkdir": script("", "OUT=out\nmkdir $OUT\ndate > out/log.txt"),
    "cp -r": script("", "cp -r /etc/ssl conf\ndate > conf/log.txt"),
    "unzip earlier": script("", "unzip -q /opt/data.zip\ndate > data/log.txt"),
    "wget tar": script("", "curl -sL https://x.org/a.tgz | tar xz\ndate > a/log.txt"),
    "hf trainer": py("from transformers import Trainer, TrainingArguments\nargs = TrainingArguments(output_dir='results')\nt = Trainer(args)\nt.train()\nt.df.to_csv('results/x.csv')\n"),
    "zarr": py("import xarray as xr\nds = xr.Dataset()\nds.to_zarr('out/x.zarr')\n"),
    "sb3": py("from stable_baselines3 import PPO\nm = PPO('MlpPolicy', 'CartPole-v1')\nm.learn(10)\nm.save('models/ppo')\n"),
    "tf save": py("import tensorflow as tf\nm = tf.keras.Model()\nm.save('models/x')\n"),
    "summary writer": py("from torch.utils.tensorboard import SummaryWriter\nw = SummaryWriter('runs/x')\nimport json\nwith open('runs/x.json', 'w') as f:\n    json.dump({}, f)\n"),
    "dask": py("import dask.dataframe as dd\ndd.read_csv('t.py').to_parquet('out/x')\n"),
    "container bind": script("request_gpus = 1\ntransfer_input_files = x.sif", "apptainer exec --nv --bind $PWD:/results x.sif python3 t.py", {"x.sif":""}),
    "bind py": Job("transfer_input_files = x.sif, t.py", "#!/bin/bash\nset -e\napptainer exec -B $PWD:/output x.sif python3 t.py\n", {"x.sif":"","t.py":"with open('/output/x.csv', 'w') as f:\n    f.write('1')\n"}),
    "fast": script("", "mkdir -p /fast/jane/run1\ndate > /fast/jane/run1/x"),
    "storage": script("", "mkdir -p /storage/jane/run1\ndate > /depot/jane/run1/x"),
    "lscratch": script("", "mkdir -p /lscratch/$USER\ndate > /localscratch/x"),
    "ceph": script("", "date > /cephfs/users/x\ndate > /hpc/group/x"),
    "sed xml": script("", "sed -i 's/<name>/<output>/' run.sh\necho '<a></output>' | sed 's/>/x/'"),
    "nv elsewhere": script("request_gpus = 1\ntransfer_input_files = x.sif", "apptainer exec x.sif cat /etc/os-release\napptainer exec --nv x.sif python3 t.py", {"x.sif":""}),
    "nv in alias": script("request_gpus = 1\ntransfer_input_files = x.sif", "RUN=\"apptainer exec --nv x.sif\"\n$RUN python3 t.py", {"x.sif":""}),
    "nv flag var": script("request_gpus = 1\ntransfer_input_files = x.sif", "GPU=--nv\napptainer exec $GPU x.sif python3 t.py", {"x.sif":""}),
    "nv flag array": script("request_gpus = 1\ntransfer_input_files = x.sif", "args=(--nv --bind $PWD)\napptainer exec \"${args[@]}\" x.sif python3 t.py", {"x.sif":""}),
    "master port var": script("request_gpus = 1\ntransfer_input_files = x.sif", "export MASTER_PORT=2${RANDOM:0:4}", {"x.sif":""}),
    "master port arith": script("request_gpus = 1\ntransfer_input_files = x.sif", "export MASTER_PORT=$((20000 + RANDOM % 1000))\ntorchrun --master_port=$MASTER_PORT t.py", {"x.sif":""}),
    "master port cluster": script("request_gpus = 1\ntransfer_input_files = x.sif", "torchrun --master-port 1${CLUSTER} t.py", {"x.sif":""}),
    "wandb getenv": py("import wandb\nwandb.init(project='x')\n", "getenv = WANDB_API_KEY\n"),
    "wandb getenv true": py("import wandb\nwandb.init(project='x')\n", "getenv = true\n"),
    "wandb netrc": py("import wandb\nwandb.init(project='x')\n", "transfer_input_files = t.py, .netrc\n", **{".netrc":"machine api.wandb.ai\n"}),
    "wandb mode var": py("import argparse, wandb\np=argparse.ArgumentParser()\np.add_argument('--mode')\na=p.parse_args()\nwandb.init(project='x', mode=a.mode)\n"),
    "machine_count 1": sub("machine_count = 1"),
    "env": sub("executable = /usr/bin/env\narguments = python3 -c pass\ntransfer_executable = false"),
    "docker cuda tag": script("request_gpus = 1\ntransfer_input_files = x.sif", "apptainer exec --nv docker://nvidia/cuda:12.4.1-runtime-ubuntu22.04 nvidia-smi", {"x.sif":""}),
    "docker cuda tag2": script("request_gpus = 1\ntransfer_input_files = x.sif", "IMAGE=nvidia/cuda:12\nsingularity exec --nv docker://$IMAGE nvidia-smi", {"x.sif":""}),
    "map_location": py("import torch\nm = torch.load('t.py', map_location={'cuda:1': 'cuda:0'})\n", "request_gpus = 1\n"),
    "choices": py("import argparse\np = argparse.ArgumentParser()\np.add_argument('--device', choices=['cpu', 'cuda:0', 'cuda:1'], default='cuda:0', help='e.g. cuda:3')\n", "request_gpus = 1\n"),
    "help str": py("import argparse\np = argparse.ArgumentParser()\np.add_argument('--dev', default='cuda', help='such as cuda:1')\n", "request_gpus = 1\n"),
    "docstring": py('"""Use with --dev cuda:1."""\nprint(1)\n', "request_gpus = 1\n"),
    "multi line docstring": py('"""Runs.\n\nUsage: t.py --gpus 0,1 or cuda:1.\n"""\nprint(1)\n', "request_gpus = 1\n"),
    "set home": py("import os\nos.environ['HOME'] = os.getcwd()\n"),
    "setdefault home": py("import os\nos.environ.setdefault('HOME', os.getcwd())\nprint(os.path.expanduser('~'))\n"),
    "home env": py("import os\nprint(os.path.expanduser('~/x'))\n", "environment = HOME=.\n"),
    "expanduser default": py("import os\ncache = os.environ.get('CACHE', os.path.expanduser('~/.cache/x'))\n"),
    "devices list": script("request_gpus = 1", "python3 t.py --devices 0, --gpus 1"),
    "trainer devices 1": sub("request_gpus = 1\narguments = --devices 1 --accelerator gpu"),
    "gpu id in args": sub("request_gpus = 1\narguments = --gpu 0"),
    "n_workers": script("request_cpus = 8", "make -j 8\nmpirun -np 8 ./a.out"),
    "make -j word": script("request_cpus = 1", "make -j $N all\nmake CFLAGS=-j9"),
    "nvidia-smi or": script("", "nvidia-smi || echo none"),
    "nvidia-smi if": script("", "if command -v nvidia-smi; then\n  nvidia-smi\nfi"),
    "nvidia-smi amp": script("", "nvidia-smi &> gpu.txt || true"),
    "cuda visible empty": script("", "export CUDA_VISIBLE_DEVICES=\nCUDA_VISIBLE_DEVICES=-1 python3 t.py"),
    "docker capital tag": sub("container_image = docker://pytorch/pytorch:2.1-CUDA12"),
    "docker host port": sub("container_image = docker://Registry.example.net:5000/a/b:V1"),
    "docker digest": sub("docker_image = a/b@sha256:ABCDEF"),
    "sif capital": script("container_image = Images.sif", "date", {"Images.sif":""}),
    "quoted path": script("transfer_input_files = a.csv, b.csv\narguments = \"--in 'a b'\"", "date", {"a.csv":"","b.csv":""}),
    "sum in quoted": sub("arguments = \"--expr '$(Process)+1'\""),
    "sum with dash": sub("arguments = --range $(Process)-1"),
    "awk redirect": script("", "awk '$3 > 5' /etc/hosts\nawk '$1>/usr/' /etc/hosts"),
    "heredoc html": script("", "cat > x.html <<E\n<b>/usr/bin</b>\n<p>results/x\nE"),
    "process subst": script("", "tee >(gzip > x.gz) < /etc/hosts"),
    "pyfile dict": py("open('x', 'w')\n"),
    "append env": script("environment = OUT=out", "date >> $OUT/x"),
    "python creates": py("from pathlib import Path\np = Path('out')\nif not p.exists():\n    p.mkdir()\nopen('out/x', 'w')\n"),
    "local exec": Job("universe = local", "#!/bin/sh\ndate > results/x\n"),
    "initialdir": Job("initialdir = r", "#!/bin/sh\ndate > x\n", {"r/x":""}),
    "preserve": script("preserve_relative_paths = true\ntransfer_input_files = data/a.csv", "date > data/b.csv", {"data/a.csv":""}),
    "2>folder": script("", "python3 t.py 2> logs.txt 1> out.txt"),
    "opts -w": script("", "hdfs dfs -mkdir -p /user/jane\nxrdfs host mkdir /store/x"),
    "ssh mkdir": script("", "gfal-mkdir davs://x/y\nmkdir -p $PWD/results"),
    "kaggle in container": Job("container_image = docker://a/b:1", "#!/bin/sh\nmkdir -p /app/x\n"),
    "os.getlogin guarded": py("import os\ntry:\n    u = os.getlogin()\nexcept OSError:\n    u = 'x'\n"),
    "python -c": script("", "python3 -c 'import os; os.makedirs(\"out\")'\ndate > out/x"),
    "folder in loop": script("", "for d in a b; do mkdir $d; done\ndate > a/x"),
    "cmake -B": script("", "cmake -B build\ncmake --build build > build/log.txt"),
    "git worktree": script("", "git init repo\ndate > repo/x"),
    "venv": script("", "python3 -m venv env\ndate > env/x"),
    "rsync": script("", "rsync -a /etc/ssl conf\ndate > conf/x"),
    "meson/cargo": script("", "cargo new x\ndate > x/y"),
    "sratool": script("", "fasterq-dump SRR1\nfastqc SRR1.fastq > SRR1/log"),
    "pushd": script("", "cd /tmp\ndate > foo/x"),
}  # fmt: skip
"""Jobs that run as they are: other programs make their folders, sites have disks of any name."""
ABOUT = frozenset(
    {
        "PS128",
        "PS130",
        "PS134",
        "PS138",
        "PS143",
        "PS144",
        "PS145",
        "PS146",
        "PS147",
        "PS148",
        "PS206",
        "PS210",
        "PS225",
        "PS226",
        "PS227",
        "PS304",
        "PS311",
    }
    | {"PS313", "PS318", "PS319", "PS406"}
)


@pytest.mark.parametrize("name", CORRECT)
def test_nothing_is_claimed_of_a_correct_job(name: str, tmp_path: Path) -> None:
    assert not ABOUT & {rule for rule, _ in told(CORRECT[name], tmp_path)}


WORKS = {
    "logs on a shared disk": sub("log = /scratch/me/j.log\noutput = /scratch/me/j.out\nerror = /scratch/me/j.err"),
    "an environment named env": sh("ENVNAME=env", 'echo "$ENVNAME"'),
    "a variable that nothing reads": sh("exe_name=$0", "date"),
}  # fmt: skip
"""As guides of IceCube, CHTC and MATLAB's compiler write it; a dry run takes it, and the job ends with 0."""


@pytest.mark.parametrize("name", WORKS)
def test_what_guides_write_is_at_most_noted(name: str, tmp_path: Path) -> None:
    assert {severity for _, severity in told(WORKS[name], tmp_path)} <= {Severity.NOTE}


def test_names_below_an_initialdir_elsewhere_are_said_once(tmp_path: Path) -> None:
    job = sub("initialdir = /afs/cern.ch/user/j/jane/work\noutput = logs/$(Process).out")
    path = job.lay_out(tmp_path)
    outside = [f for f in review([path], Silent()).findings if f.rule == "PS207"]
    assert [f.line for f in outside] == [
        path.read_text().splitlines().index("initialdir = /afs/cern.ch/user/j/jane/work") + 1
    ]


@pytest.mark.parametrize(
    "word", ["make ", "mpirun -n ", "mkdir -p ", "apptainer -x ", "nvidia-smi ", "a"]
)
def test_a_line_of_a_megabyte_is_looked_at_like_any_other(word: str, tmp_path: Path) -> None:
    """Patterns that take the square of a line's length would need days for it."""
    line = word * (1_000_000 // len(word))
    job = Job(
        "transfer_input_files = t.py",
        sh(line, "sudo date").run,
        {"t.py": f"f('{line}')\nbreakpoint()\n"},
    )
    assert {"PS312", "PS313"} <= {rule for rule, _ in told(job, tmp_path)}
