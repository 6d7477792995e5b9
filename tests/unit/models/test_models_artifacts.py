"""A folder is written whole or not at all, and refused when a file is not the one that was written."""

import hashlib
from errno import EACCES, ENOSPC
from pathlib import Path

import pytest

from models import artifacts
from models.errors import ArtifactError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with artifacts.writing(tmp_path / "model") as part:
        (part / "weights").write_bytes(b"weights")
        (part / "config.json").write_text("{}")
    return tmp_path / "model"


def test_the_manifest_s_own_sha256_names_the_artifact(folder: Path) -> None:
    assert artifacts.verify(folder) == hashlib.sha256((folder / artifacts.MANIFEST).read_bytes()).hexdigest()


def test_equal_files_have_equal_names_and_other_files_another(folder: Path, tmp_path: Path) -> None:
    for name, weights in (("same", b"weights"), ("other", b"other")):
        with artifacts.writing(tmp_path / name) as part:
            (part / "config.json").write_text("{}")
            (part / "weights").write_bytes(weights)
    assert artifacts.verify(tmp_path / "same") == artifacts.verify(folder)
    assert artifacts.verify(tmp_path / "other") != artifacts.verify(folder)


def test_what_is_required_is_whole_and_the_very_one(folder: Path) -> None:
    named = artifacts.verify(folder)
    artifacts.require(folder, named)
    with pytest.raises(ArtifactError, match="not the one that was registered"):
        artifacts.require(folder, "another")
    (folder / "weights").unlink()
    with pytest.raises(ArtifactError, match="has no file 'weights'"):
        artifacts.require(folder, named)


def test_an_altered_file_is_refused(folder: Path) -> None:
    (folder / "weights").write_bytes(b"weightz")
    with pytest.raises(ArtifactError, match=r"weights.*restore"):
        artifacts.verify(folder)


def test_a_missing_file_is_refused(folder: Path) -> None:
    (folder / "weights").unlink()
    with pytest.raises(ArtifactError, match="has no file 'weights'"):
        artifacts.verify(folder)


def test_a_file_that_was_not_written_with_it_is_refused(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    with pytest.raises(ArtifactError, match=r"does not know: 'pytorch_model\.bin'"):
        artifacts.verify(folder)


@pytest.mark.parametrize("manifest", ["", "[]", "{}", '{"format": 2, "files": {}}', '{"format": 1, "files": []}'])
def test_a_broken_manifest_is_refused(folder: Path, manifest: str) -> None:
    (folder / artifacts.MANIFEST).write_text(manifest)
    with pytest.raises(ArtifactError):
        artifacts.verify(folder)


def test_a_folder_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="nowhere"):
        artifacts.verify(tmp_path / "nowhere")


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), artifacts.writing(tmp_path / "model") as part:
        (part / "weights").write_bytes(b"half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_overwritten(folder: Path) -> None:
    with pytest.raises(ArtifactError, match="exists already"), artifacts.writing(folder):
        pass
    artifacts.verify(folder)


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    said = pytest.raises(artifacts.NoRoomError, match=r"model' could not be written .*; make room")
    with said, artifacts.writing(tmp_path / "model") as part:
        (part / "weights").write_bytes(b"half")
        raise OSError(ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())
    with pytest.raises(PermissionError), artifacts.writing(tmp_path / "model"):
        raise PermissionError(EACCES, "Permission denied", "source.txt")
