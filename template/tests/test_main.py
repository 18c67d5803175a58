"""Tests of main.py; `pixi run test` runs them. Add yours: a function whose name starts test_."""

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import main

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits() -> main.Data:
    return main.load_data("digits", Path("data"), CPU)


@pytest.fixture
def trainer(digits: main.Data) -> main.Trainer:
    return main.Trainer(digits, CPU, batch_size=64, lr=4e-3, seed=0)


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    """Training takes over Ctrl-C and SIGTERM; the next test, and you, get them back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def run_main(tmp_path: Path, *arguments: str) -> int:
    usual = ["--data", "digits", "--device", "cpu", "--runs-dir", str(tmp_path)]
    return main.main([*usual, *arguments])


@pytest.mark.parametrize("side", [8, 28])
def test_the_model_gives_a_score_for_each_of_ten_classes(side: int) -> None:
    assert main.Net(side)(torch.zeros(3, 1, side, side)).shape == (3, 10)


def test_digits_have_the_expected_shapes(digits: main.Data) -> None:
    train_images, train_labels, test_images, test_labels = digits
    assert train_images.shape == (1437, 1, 8, 8)
    assert test_images.shape == (360, 1, 8, 8)
    assert set(train_labels.tolist()) == set(test_labels.tolist()) == set(range(10))
    assert train_images.mean().abs() < 0.01
    assert abs(train_images.std() - 1) < 0.01


def test_an_epoch_shows_every_image_once(trainer: main.Trainer) -> None:
    trainer.start_epoch()
    assert sorted(trainer.order.tolist()) == list(range(1437))


def test_twenty_steps_lower_the_loss(trainer: main.Trainer) -> None:
    before, _ = trainer.evaluate(trainer.images, trainer.labels)
    for _ in range(20):
        trainer.train_step()
    after, _ = trainer.evaluate(trainer.images, trainer.labels)
    assert after < before / 2


def test_a_restored_trainer_takes_the_same_next_step(
    trainer: main.Trainer, digits: main.Data, tmp_path: Path
) -> None:
    trainer.add_row()
    for _ in range(5):
        trainer.train_step()
    path = tmp_path / "checkpoint.pt"
    main.write_file(path, lambda file: torch.save(trainer.state(), file))
    trainer.train_step()

    other = main.Trainer(digits, CPU, batch_size=64, lr=4e-3, seed=0)
    state = main.load_checkpoint(tmp_path)
    assert state is not None
    other.restore(state)
    other.train_step()
    for mine, theirs in zip(other.model.parameters(), trainer.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(b"old")

    def fail(_: object) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        main.write_file(path, fail)
    assert path.read_bytes() == b"old"


def test_a_run_leaves_its_results_and_can_be_trained_further(tmp_path: Path) -> None:
    assert run_main(tmp_path, "--epochs", "1", "--require-progress") == 0
    folder = tmp_path / "digits"
    for name in ("config.json", "metrics.jsonl", "model.pt", "loss.png", "checkpoint.pt"):
        assert (folder / name).stat().st_size > 0, name
    assert run_main(tmp_path, "--epochs", "2") == 0
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [0, 1, 2]


def test_missing_data_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["--data-dir", str(tmp_path), "--runs-dir", str(tmp_path)]) == 2
    assert "pixi run data" in capsys.readouterr().err
