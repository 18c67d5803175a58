"""On what a job ran, as its record says: on an H200 a training on the CPU had the GPU open, too."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pixi_scaffold.rehearsal.gpus import device_rows

H200, CPU = ({"device": name, "torch": "2.11.0+cu130"} for name in ("NVIDIA H200", "cpu"))


def job(folder: Path, records: dict[str, object], *, opened: bool, real: bool = True) -> Any:
    """As much of a rehearsed job as the row looks at."""
    for name, record in records.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(record if isinstance(record, str) else json.dumps(record))
    outcome = SimpleNamespace(
        attempts=(1,),
        brought=tuple(records),
        results=folder,
        usage=SimpleNamespace(gpu=opened),
        isolated="processes",
    )
    delivery, plan = SimpleNamespace(env={}), SimpleNamespace(match=SimpleNamespace(gpus=1))
    return SimpleNamespace(outcome=outcome, plan=plan, delivery=delivery, real_gpu=real)


@pytest.mark.parametrize(
    ("records", "opened", "status", "says"),
    [
        # as main.py wrote it on an H200
        ({"runs/a/config.json": H200}, True, "passed", "NVIDIA H200, as runs/a/config.json says"),
        ({"runs/a/config.json": CPU}, True, "skipped", "so says runs/a/config.json"),
        ({"runs/a/config.json": CPU}, False, "skipped", "the CPU, although"),
        ({"config.json": {"device": "auto"}}, True, "passed", "whether it computed there"),
        ({"config.json": "no JSON"}, True, "passed", "whether it computed there is not seen"),
        ({"config.json": {"x": 1}}, False, "skipped", "no process of the job opened it"),
        ({}, True, "passed", "whether it computed there is not seen"),
    ],
)
def test_the_record_goes_before_what_was_opened(
    tmp_path: Path, records: dict[str, object], opened: bool, status: str, says: str
) -> None:
    (row,) = device_rows([job(tmp_path, records, opened=opened)])
    assert (row.name, row.status) == ("device", status)
    assert says in row.detail


def test_a_machine_without_a_gpu_is_no_warning(tmp_path: Path) -> None:
    (row,) = device_rows([job(tmp_path, {}, opened=False, real=False)])
    assert (row.status, row.detail) == ("passed", "the CPU: this machine has no GPU")
