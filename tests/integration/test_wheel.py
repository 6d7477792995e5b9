"""The wheel works outside of the checkout: built, installed into a fresh environment, and used there."""

import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"nightread", "pipeline", "models", "worker", "scheduler", "migrations"}


def run(*command: str, cwd: Path, **environment: str) -> str:
    """What it prints, of a process that finds nothing of the checkout by chance."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NIGHTREAD_", "PYTHON"))}
    done = subprocess.run(
        command, cwd=cwd, env=kept | environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of what git tracks and has not ignored, so that nothing built before gets in."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", cwd=ROOT).split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            copy = source / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes((ROOT / name).read_bytes())
    # Without build isolation, which would fetch setuptools from the network: the test extra pins it.
    options = ("--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(folder))
    run(sys.executable, "-m", "pip", "wheel", *options, str(source), cwd=folder)
    (found,) = folder.glob("nightread-*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment that has the wheel."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv", with_pip=False)
    there = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder / "venv")}))
    run(
        sys.executable,
        "-m",
        "pip",
        "--quiet",
        "--python",
        str(folder / "venv"),
        "install",
        "--no-deps",
        str(wheel),
        cwd=folder,
    )
    # The dependencies are those of the running environment, since torch alone is gigabytes. A path file comes after
    # the environment's own packages, so the wheel's win over a checkout that is installed there as editable.
    (there / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    return folder / "venv" / "bin"


@pytest.fixture
def home() -> Iterator[Path]:
    # Not tmp_path: as root the servers run as another account, which cannot reach into pytest's folder.
    with tempfile.TemporaryDirectory(prefix="nightread-wheel-", dir="/tmp") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder) / "home"


def test_it_holds_the_packages_with_their_sql_and_pages_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    files = {name for name in names if ".dist-info/" not in name}
    assert {name.partition("/")[0] for name in files} == PACKAGES
    for kind in ("sql", "html", "mako"):
        of_checkout = {
            str(file.relative_to(ROOT)) for package in PACKAGES for file in (ROOT / package).rglob(f"*.{kind}")
        }
        assert of_checkout <= files, kind
        assert of_checkout, kind
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_it_migrates_and_shows_the_status_of_a_house_far_from_the_checkout(installed: Path, home: Path) -> None:
    nightread = str(installed / "nightread")
    elsewhere = home.parent
    places = run(
        str(installed / "python"),
        "-c",
        f"import importlib; [print(importlib.import_module(name).__file__) for name in {sorted(PACKAGES)}]",
        cwd=elsewhere,
    ).split()
    assert all(Path(place).is_relative_to(installed.parent) for place in places), places
    assert "migrate" in run(nightread, "--help", cwd=elsewhere)
    assert "empty →" in run(nightread, "migrate", cwd=elsewhere, NIGHTREAD_HOME=str(home))
    assert '"received": 0' in run(nightread, "status", "--json", cwd=elsewhere, NIGHTREAD_HOME=str(home))
