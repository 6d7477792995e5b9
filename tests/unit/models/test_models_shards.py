"""Token sequences on disk: the same as in memory, for their owner alone, whole or not at all."""

import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from models import packing, shards
from models.shards import ShardsError
from models.vocabulary import train_wordpiece
from nightread.made_up import reports

LENGTH = 24
TEXTS = [made.text for made in reports(40, seed=3)]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_wordpiece(TEXTS, 600)


def test_it_is_what_packing_would_hold_in_memory(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "_BATCH", len(TEXTS[0]) * 3)  # several batches, and a last one that is not full
    written = shards.write(iter([*TEXTS, "", "one more"]), tokenizer, tmp_path / "shards", length=LENGTH)
    expected = packing.tokenize([*TEXTS, "one more"], tokenizer, length=LENGTH)
    assert (written.ids.dtype, written.ends.dtype) == (np.int32, np.int64)
    np.testing.assert_array_equal(written.ids, expected.ids)
    np.testing.assert_array_equal(written.ends, expected.ends)
    np.testing.assert_array_equal(written.sizes, expected.sizes)
    rows, same = (
        next(packing.batches(one, length=LENGTH, rows=9, pad_id=0, rng=np.random.default_rng(1)))
        for one in (written, expected)
    )
    np.testing.assert_array_equal(rows.ids, same.ids)


def test_it_stays_on_disk_and_nothing_can_write_to_it(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    written = shards.write(TEXTS, tokenizer, tmp_path / "shards", length=LENGTH)
    assert isinstance(written.ids.base, np.memmap)
    assert isinstance(written.ends.base, np.memmap)
    assert not written.ids.flags.writeable


def test_only_its_owner_reads_it(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    folder = tmp_path / "shards"
    shards.write(TEXTS, tokenizer, folder, length=LENGTH)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_what_was_left_there_is_never_taken_up(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    folder = tmp_path / "shards"
    shards.write(TEXTS, tokenizer, folder, length=LENGTH)
    (folder / "left by a killed process").write_text("x")
    again = shards.write(TEXTS[:1], tokenizer, folder, length=LENGTH)
    expected = packing.tokenize(TEXTS[:1], tokenizer, length=LENGTH)
    np.testing.assert_array_equal(again.ids, expected.ids)
    assert len(list(folder.iterdir())) == 2


def test_no_text_is_no_error(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    written = shards.write([], tokenizer, tmp_path / "shards", length=LENGTH)
    assert (len(written.ids), len(written.ends)) == (0, 0)


def test_a_failing_stream_leaves_nothing(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    def failing() -> Iterator[str]:
        yield from TEXTS
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shards.write(failing(), tokenizer, tmp_path / "shards", length=LENGTH)
    assert list(tmp_path.iterdir()) == []


def test_removing_takes_everything_and_may_be_done_twice(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    shards.write(TEXTS, tokenizer, tmp_path / "shards", length=LENGTH)
    shards.remove(tmp_path / "shards")
    shards.remove(tmp_path / "shards")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_names_the_folder_and_leaves_nothing(tmp_path: Path) -> None:
    """In a process whose files may not grow beyond a page, which fails as a full disk does: in the middle of it."""
    program = textwrap.dedent("""
        import resource, sys
        from pathlib import Path
        from models import shards
        from models.vocabulary import train_wordpiece
        texts = ["no pleural effusion in either lung", "the heart is of normal size"] * 2_000
        tokenizer = train_wordpiece(texts, 300)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, resource.RLIM_INFINITY))
        try:
            shards.write(texts, tokenizer, Path(sys.argv[1]), length=24)
        except shards.ShardsError as error:
            print(error)
    """)
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "shards")], capture_output=True, text=True, check=True
    )
    assert "could not be written" in done.stdout
    assert str(tmp_path / "shards") in done.stdout
    assert "make room" in done.stdout
    assert "effusion" not in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ShardsError, match="file/shards"):
        shards.write(TEXTS, tokenizer, tmp_path / "file" / "shards", length=LENGTH)
