"""Tests of main.py; `pixi run test` runs them. Add yours: a function whose name starts test_.

They train on the data that main.py takes by itself: they hold for other data and networks, too.
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import main
import runs
from trainer import Trainer, UserError


def arguments(folder: Path, *more: str) -> argparse.Namespace:
    return main.parse_arguments(["--device", "cpu", "--runs-dir", str(folder), *more])


def run_main(folder: Path, *more: str) -> int:
    return main.main(["--device", "cpu", "--runs-dir", str(folder), "--name", "test", *more])


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    torch.manual_seed(0)
    return main.build(arguments(tmp_path))


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    """Training takes over Ctrl-C and SIGTERM; the next test, and you, get them back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_data_are_complete(tmp_path: Path) -> None:
    train_x, train_y, test_x, test_y = main.load_data(arguments(tmp_path))
    assert len(train_x) == len(train_y) > 0
    assert len(test_x) == len(test_y) > 0
    assert train_x.shape[1:] == test_x.shape[1:]
    assert train_x.isfinite().all() and test_x.isfinite().all()
    assert set(test_y.tolist()) <= set(train_y.tolist()), "a class that training never sees"


def test_the_network_has_a_score_for_each_class(trainer: Trainer) -> None:
    _, scores = main.step(trainer.network, trainer.train_x[:3], trainer.train_y[:3])
    assert len(scores) == 3
    assert scores.shape[1] > trainer.train_y.max()


def test_an_epoch_shows_every_image_once(trainer: Trainer) -> None:
    trainer.start_epoch()
    assert sorted(trainer.order.tolist()) == list(range(len(trainer.train_y)))


def test_twenty_steps_lower_the_loss(trainer: Trainer) -> None:
    before, _ = trainer.evaluate(trainer.train_x, trainer.train_y)
    for _ in range(min(20, trainer.steps_per_epoch)):
        trainer.train_step()
    after, _ = trainer.evaluate(trainer.train_x, trainer.train_y)
    assert after < before


def test_a_restored_training_takes_the_same_next_step(trainer: Trainer, tmp_path: Path) -> None:
    trainer.add_row()
    for _ in range(5):
        trainer.train_step()
    runs.save(trainer, tmp_path)
    trainer.train_step()

    other = main.build(arguments(tmp_path))
    state = runs.load_checkpoint(tmp_path)
    assert state is not None
    other.restore(state)
    other.train_step()
    for mine, theirs in zip(other.network.parameters(), trainer.network.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(b"old")

    def fail(_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        runs.write_file(path, lambda file: file.write(b"new"))
    assert path.read_bytes() == b"old"
    assert [*tmp_path.iterdir()] == [path]


def test_a_run_leaves_its_results_and_can_be_trained_further(tmp_path: Path) -> None:
    assert run_main(tmp_path, "--epochs", "1", "--require-progress") == 0
    folder = tmp_path / "test"
    for name in ("config.json", "metrics.jsonl", "model.pt", "loss.png", "checkpoint.pt"):
        assert (folder / name).stat().st_size > 0, name
    assert run_main(tmp_path, "--epochs", "2") == 0
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [0, 1, 2]


def test_another_batch_size_is_another_run(tmp_path: Path) -> None:
    assert run_main(tmp_path, "--epochs", "1") == 0
    with pytest.raises(UserError, match="--name"):
        run_main(tmp_path, "--epochs", "2", "--batch-size", "32")


@pytest.mark.skipif(not hasattr(main, "mnist"), reason="this project has its own data only")
def test_missing_data_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # away from an archive that `pixi run data` has made
    with pytest.raises(UserError, match="pixi run data"):
        run_main(tmp_path, "--data", "mnist", "--data-dir", str(tmp_path))
