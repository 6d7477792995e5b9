"""Pre-training: the loss falls, and is the same however the work is shared, stopped and taken up again."""

import fcntl
import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pretrain_tiny
import pytest
import torch
from bilingual_reports import LABELS, made_up_reports
from pretrain_tiny import CHECKPOINT_EVERY, LENGTH, SETTINGS, tiny_data, tiny_run
from safetensors.torch import load_file
from transformers import PreTrainedTokenizerFast

from models import masked_lm, run_folder
from models.checkpoints import CheckpointError
from models.encoder import new_encoder
from models.finetuning import fine_tune
from models.optimizing import warmed_up_and_decayed
from models.pretraining import PretrainingStep, Run, _shares
from models.run_folder import PretrainingError, RunFolder, read_log

ALONE = {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(Path.cwd()), str(Path(__file__).parent)])}


@pytest.fixture(scope="module")
def with_dropout(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    folder = tmp_path_factory.mktemp("with-dropout") / "tiny"
    new_encoder(folder, tokenizer, layers=2, width=64, dropout=0.1)
    return folder


@pytest.fixture(scope="module")
def without_dropout(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    folder = tmp_path_factory.mktemp("without-dropout") / "tiny"
    new_encoder(folder, tokenizer, layers=2, width=64, dropout=0.0)
    return folder


@pytest.fixture(scope="module")
def undisturbed(with_dropout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    tiny_run(with_dropout, out)
    return out


def losses(out: Path) -> list[float]:
    log = read_log(out)
    assert [line["step"] for line in log] == list(range(1, len(log) + 1))
    return [float(str(line["loss"])) for line in log]


def program(*arguments: object, launcher: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *launcher, pretrain_tiny.__file__, *map(str, arguments)]
    return subprocess.run(command, env=os.environ | ALONE, capture_output=True, text=True, timeout=300, check=False)


def same_model(one: Path, two: Path) -> bool:
    first, second = (load_file(out / "model" / "model.safetensors") for out in (one, two))
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_the_loss_falls_and_the_model_is_a_foundation(undisturbed: Path, tmp_path: Path) -> None:
    found = losses(undisturbed)
    assert len(found) == SETTINGS.steps
    assert sum(found[-4:]) < sum(found[:4]) - 2
    assert {path.name for path in undisturbed.iterdir()} == {"lock", "log.jsonl", "model"}
    texts, truth = made_up_reports(8, seed=3)
    fine_tune(undisturbed / "model", tmp_path / "c", texts=texts, labels=truth, label_names=LABELS, epochs=1)


def test_the_log_says_what_a_step_was(undisturbed: Path) -> None:
    log = read_log(undisturbed)
    assert set(log[0]) == set(PretrainingStep._fields)
    tokens = [int(str(line["tokens"])) for line in log]
    assert all(0 < after - before <= 7 * LENGTH for before, after in pairwise(tokens))
    assert log[-1]["learning_rate"] < max(float(str(line["learning_rate"])) for line in log)


def test_the_number_of_passes_changes_rounding_only(without_dropout: Path, tmp_path: Path) -> None:
    for name, per_pass in (("one", 10_000), ("many", 1)):
        tiny_run(without_dropout, tmp_path / name, run=Run(tokens_per_pass=per_pass, device="cpu"))
    assert losses(tmp_path / "one") == pytest.approx(losses(tmp_path / "many"), rel=2e-3)
    assert losses(tmp_path / "one")[:3] == pytest.approx(losses(tmp_path / "many")[:3], rel=1e-5)


def test_two_processes_give_the_loss_of_one(without_dropout: Path, tmp_path: Path) -> None:
    tiny_run(without_dropout, tmp_path / "one")
    # On CPUs `accelerate launch --cpu` starts one process only (it needs mpirun for more); this starts two anywhere.
    launcher = ("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2", "--main_process_port=0")
    done = program(without_dropout, tmp_path / "two", launcher=launcher)
    assert done.returncode == 0, done.stderr
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=2e-3)
    assert losses(tmp_path / "two")[:3] == pytest.approx(losses(tmp_path / "one")[:3], rel=1e-5)


def test_a_killed_run_goes_on_from_its_last_checkpoint(with_dropout: Path, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    killed = program(with_dropout, out, "--kill", 2 * CHECKPOINT_EVERY + 3)
    assert killed.returncode == -9
    assert len(losses(out)) == 2 * CHECKPOINT_EVERY + 3
    assert not (out / "model").exists()
    with (out / "log.jsonl").open("a") as log:
        log.write('{"step": 20, "lo')  # torn
    seen: list[int] = []
    tiny_run(with_dropout, out, resume=True, on_step=lambda step: seen.append(step.step))
    assert seen == list(range(2 * CHECKPOINT_EVERY + 1, SETTINGS.steps + 1))
    assert losses(out) == pytest.approx(losses(undisturbed), rel=1e-6)
    assert same_model(out, undisturbed)


def test_a_stopped_run_goes_on_being_taught_by_the_former_model(undisturbed: Path, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(step: PretrainingStep) -> None:
        if step.step == CHECKPOINT_EVERY + 2:
            raise Stopped

    taught = replace(SETTINGS, distillation=0.7)
    tiny_run(undisturbed / "model", tmp_path / "whole", settings=taught)
    with pytest.raises(Stopped):
        tiny_run(undisturbed / "model", tmp_path / "stopped", settings=taught, on_step=stop)
    tiny_run(undisturbed / "model", tmp_path / "stopped", settings=taught, resume=True)
    assert losses(tmp_path / "stopped") == pytest.approx(losses(tmp_path / "whole"), rel=1e-6)
    tiny_run(undisturbed / "model", tmp_path / "untaught")
    assert losses(tmp_path / "untaught") != pytest.approx(losses(tmp_path / "whole"), rel=1e-3)


def test_a_full_disk_leaves_the_last_checkpoint(with_dropout: Path, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = program(with_dropout, out, "--full", CHECKPOINT_EVERY + 2)
    assert done.returncode == 1
    assert f"the checkpoint of step {2 * CHECKPOINT_EVERY} could not be written" in done.stderr
    assert "step-000000008 is whole: make room and resume" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["step-000000008"]
    tiny_run(with_dropout, out, resume=True)
    assert losses(out) == pytest.approx(losses(undisturbed), rel=1e-6)


def test_a_run_that_was_killed_before_any_checkpoint_begins_again(with_dropout: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "log.jsonl").write_text('{"step": 1, "loss": 99.0}\n')
    tiny_run(with_dropout, out, resume=True, settings=replace(SETTINGS, steps=2))
    assert len(losses(out)) == 2
    assert max(losses(out)) < 99


def test_folders_that_do_not_fit_are_refused_before_anything_is_done(undisturbed: Path, tmp_path: Path) -> None:
    with pytest.raises(PretrainingError, match="in use; resume"):
        run_folder.refuse_unfit(undisturbed, resume=False)
    with pytest.raises(PretrainingError, match="is done; its model is"):
        run_folder.refuse_unfit(undisturbed, resume=True)
    with pytest.raises(PretrainingError, match="nothing to resume"):
        run_folder.refuse_unfit(tmp_path / "new", resume=True)
    (tmp_path / "file").touch()
    with pytest.raises(PretrainingError, match="in use"):
        run_folder.refuse_unfit(tmp_path / "file", resume=False)


def test_two_runs_never_share_a_folder(with_dropout: Path, tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(PretrainingError, match="another process"):
            tiny_run(with_dropout, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_resuming_with_other_settings_is_refused(with_dropout: Path, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(step: PretrainingStep) -> None:
        if step.step == CHECKPOINT_EVERY + 1:
            raise Stopped

    with pytest.raises(Stopped):
        tiny_run(with_dropout, tmp_path / "out", on_step=stop)
    with pytest.raises(CheckpointError, match=r"begun with learning rate 0\.001, not 0\.1"):
        tiny_run(with_dropout, tmp_path / "out", resume=True, settings=replace(SETTINGS, learning_rate=0.1))


def test_no_data_is_an_error_and_not_a_loop_for_ever(with_dropout: Path, tmp_path: Path) -> None:
    model, tokenizer = masked_lm.load(with_dropout)
    with pytest.raises(PretrainingError, match="no text"):
        pretrain_tiny.pretrain(
            model, tokenizer, lambda epoch: [], tmp_path / "out", settings=SETTINGS, run=Run(device="cpu")
        )


def test_an_epoch_s_data_is_its_own(tokenizer: PreTrainedTokenizerFast) -> None:
    data = tiny_data(tokenizer)
    first, again, other = ([rows.ids.tolist() for rows in data(epoch)] for epoch in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize(("rows", "processes", "most"), [(7, 2, 2), (1, 3, 4), (8, 1, 3), (6, 3, 1)])
def test_every_row_is_somebodys_and_passes_are_as_many_everywhere(rows: int, processes: int, most: int) -> None:
    shares = [_shares(rows, processes=processes, process=process, most=most) for process in range(processes)]
    assert len({len(own) for own in shares}) == 1
    taken = [row for own in shares for share in own for row in range(share.start, share.stop)]
    assert taken == list(range(rows))
    assert all(share.stop - share.start <= most for own in shares for share in own)


def test_the_rate_rises_to_its_peak_and_falls_to_nothing() -> None:
    rates = [warmed_up_and_decayed(step, steps=100, peak=2.0, warm_up=0.1) for step in range(100)]
    assert max(rates) == rates[9] == 2.0
    assert rates[0] == pytest.approx(0.2)
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 0.05
    assert warmed_up_and_decayed(0, steps=1, peak=2.0, warm_up=0.1) == 2.0


def test_a_loss_that_is_no_number_ends_it_before_anything_is_kept(with_dropout: Path, tmp_path: Path) -> None:
    settings = replace(SETTINGS, learning_rate=1e30)
    with pytest.raises(PretrainingError, match=r"no number any more; begin again .* lower learning rate"):
        tiny_run(with_dropout, tmp_path / "out", settings=settings)
    assert not (tmp_path / "out" / "model").exists()
    assert not (tmp_path / "out" / "checkpoints").exists()
    assert "nan" not in (tmp_path / "out" / "log.jsonl").read_text().lower()


def test_a_log_that_finds_no_room_is_named_once(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.begin_log(0)
    folder.close()
    folder._log = Path("/dev/full").open("a", encoding="utf-8", buffering=1)  # noqa: SIM115 - it closes it
    with pytest.raises(PretrainingError, match=r"log\.jsonl' could not be written .*make room and resume"):
        folder.log({"step": 1})
    folder.close()
