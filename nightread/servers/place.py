"""Where the servers of a home live, and as whom they run."""

import hashlib
import logging
import os
import pwd
import signal
import stat
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nightread.servers.binaries import Binaries, copied, installed
from nightread.servers.errors import ServersError
from nightread.servers.processes import end, mark_of, marked

log = logging.getLogger("nightread.servers")

MANAGED = Path("/var/lib/nightread")  # root's, for homes that the servers' account cannot reach
COMMAND_PATIENCE_S = 600
SOCKET_BYTES = 107  # sun_path holds 108 with its NUL
LONGEST_SOCKET = "/.s.PGSQL.65535"


@dataclass(frozen=True)
class Account:
    uid: int
    gid: int
    name: str


@dataclass(frozen=True)
class Place:
    """`folder` is the account's own, 0700: data, logs and, where their path is short enough, the sockets.

    Root makes no file in it: the account's processes do, since a name planted in a folder of someone else's
    could lead root anywhere.
    """

    folder: Path
    sockets: Path
    account: Account | None  # None: we are not root, and the servers run as ourselves
    mark: str  # on the command line of every process of its servers

    def run(
        self, arguments: Sequence[str], *, inside: str = ".", stdin: str = "", pass_fds: Sequence[int] = ()
    ) -> subprocess.CompletedProcess[str]:
        """A command in `folder` (or `inside` it) as the account, out of Ctrl-C's reach."""
        return _run_as(self.account, arguments, self.folder / inside, stdin=stdin, pass_fds=pass_fds)

    def make_folders(self, *names: str) -> None:
        made = self.run(["mkdir", "-p", "-m", "700", *names])
        if made.returncode:
            raise ServersError(f"cannot make folders in {self.folder}: {made.stderr.strip()}")

    def leave(self) -> None:
        """Leave nothing in /tmp."""
        if self.sockets.parent != self.folder:
            with suppress(OSError):  # not empty, or gone already
                self.sockets.rmdir()

    def as_servers_see(self, path: Path) -> str:
        """A socket's path for a server that works one folder below: no quoting, however odd the home."""
        return f"../{path.relative_to(self.folder)}" if path.is_relative_to(self.folder) else str(path)


def choose(home: Path, *, account: str | None, managed: Path) -> tuple[Place, Binaries]:
    """The place for `home` and the programs that its account can run; what was chosen once stays."""
    binaries = installed()
    folder = home / "servers"
    if os.geteuid() != 0:
        folder.mkdir(mode=0o700, exist_ok=True)
        return _place(folder, home, None), binaries
    lost = not folder.exists() or not folder.resolve().is_relative_to(managed.resolve())
    if folder.is_symlink() and lost:
        raise ServersError(
            f"{folder} leads to {folder.readlink()}, which is gone or not below {managed}; restore it, "
            f"or delete {folder} and {home / 'credentials.json'} to start with empty servers"
        )
    if folder.exists():
        owner = _account_of(folder, wanted=account)
        if not _can(owner, "test", "-w", str(folder.resolve())):
            raise ServersError(
                f"the account {owner.name}, which runs the servers, cannot reach {folder.resolve()}; let it "
                "pass through the folders above (chmod o+x), or choose another home"
            )
    else:
        owner = _new_account(account)
        _make_servers_folder(folder, home, owner, managed)
    if not _can_run(owner, binaries):
        shared = _passage(managed, managed / "programs")
        binaries = copied(binaries, shared)
        log.info("%s cannot run the programs in the wheels; the servers run from %s", owner.name, shared)
        if not _can_run(owner, binaries):
            raise ServersError(
                f"the account {owner.name} cannot run the servers, neither from the wheels nor from {shared};"
                " start Nightread as a user other than root"
            )
    return _place(folder.resolve(), home, owner), binaries


def _run_as(
    account: Account | None,
    arguments: Sequence[str],
    folder: Path,
    *,
    stdin: str = "",
    pass_fds: Sequence[int] = (),
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            list(arguments),
            check=False,
            cwd=folder,
            input=stdin,
            pass_fds=tuple(pass_fds),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=COMMAND_PATIENCE_S,
            start_new_session=True,
            umask=0o077,
            # Nothing of ours is inherited: no hospital's database URL, and no locale (messages are English).
            env={"PATH": os.defpath, "LC_ALL": "C"},
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    except PermissionError as error:
        return subprocess.CompletedProcess(arguments, 126, "", str(error))  # as a shell would say it
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(arguments, 124, "", f"no end within {COMMAND_PATIENCE_S} s")


def _make_servers_folder(folder: Path, home: Path, owner: Account, managed: Path) -> None:
    """`home`/servers, or else a link to a folder below `managed`; folders above are never opened wider."""
    unfinished = folder.with_name("servers.new")  # renamed when it has its owner: we may be killed before
    unfinished.mkdir(mode=0o700, exist_ok=True)
    os.chown(unfinished, owner.uid, owner.gid, follow_symlinks=False)
    if _can(owner, "test", "-w", str(unfinished)):
        unfinished.rename(folder)
        return
    unfinished.rmdir()
    target = _passage(managed, managed / _hash_of(home)) / "servers"
    if target.exists() and any(target.iterdir()):
        # Its home was deleted and made anew, and the passwords are lost. Set aside, never thrown away.
        end(marked(mark_of(target), "postgres", "redis-server"), signal.SIGQUIT)
        aside = target.with_name(f"servers-{time.strftime('%Y%m%dT%H%M%S')}")
        target.rename(aside)
        log.warning("the data of an earlier %s are set aside in %s; delete them if not missed", home, aside)
    target.mkdir(mode=0o700, exist_ok=True)
    os.chown(target, owner.uid, owner.gid, follow_symlinks=False)
    folder.symlink_to(target)
    log.info("the account %s cannot reach %s; the servers and their data are in %s", owner.name, home, target)


def _place(folder: Path, home: Path, account: Account | None) -> Place:
    sockets = folder / "sockets"
    uid = account.uid if account else os.geteuid()
    if len(os.fsencode(sockets)) + len(LONGEST_SOCKET) > SOCKET_BYTES:
        sockets = Path("/tmp") / f"nightread-{uid}-{_hash_of(home)}"
    place = Place(folder, sockets, account, mark_of(folder))
    place.make_folders("redis", str(sockets))
    # In /tmp anyone may have made the folder first; one of ours that others can enter is not private.
    for private in (folder, sockets):
        found = private.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or found.st_mode & 0o077:
            raise ServersError(f"{private} is not a folder of user {uid} alone (0700); remove it or repair it")
    return place


def _passage(managed: Path, folder: Path) -> Path:
    """`folder` of root's below `managed`, which accounts can walk through whatever root's umask is."""
    for each in (managed, folder):
        try:
            each.mkdir(parents=True, exist_ok=True)
            each.chmod(0o711)
        except OSError as error:
            raise ServersError(
                f"cannot make {each}: {error.strerror}; choose a home that every account can reach, "
                "or start Nightread as a user other than root"
            ) from None
    return folder


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _account_of(folder: Path, *, wanted: str | None) -> Account:
    found = folder.stat()
    try:
        entry = pwd.getpwuid(found.st_uid)
        account = Account(entry.pw_uid, entry.pw_gid, entry.pw_name)
    except KeyError:  # an owner from outside a container
        account = Account(found.st_uid, found.st_gid, str(found.st_uid))
    if account.uid == 0:
        raise ServersError(f"{folder} belongs to root, as whom PostgreSQL does not run; give it to another account")
    if wanted is not None and account.name != wanted:
        raise ServersError(f"{folder} belongs to {account.name}; the servers cannot change over to {wanted}")
    return account


def _new_account(name: str | None) -> Account:
    try:
        entry = pwd.getpwnam(name or "nobody")
    except KeyError:
        raise ServersError(f"there is no account {name or 'nobody'} to run the servers as; name another") from None
    if entry.pw_uid == 0:
        raise ServersError("PostgreSQL does not run as root; name another account for the servers")
    return Account(entry.pw_uid, entry.pw_gid, entry.pw_name)


def _can(account: Account, *command: str) -> bool:
    return _run_as(account, command, Path("/")).returncode == 0


def _can_run(account: Account, binaries: Binaries) -> bool:
    """Tried, not computed: modes, ACLs, mount options and the libraries that initdb loads all have a say."""
    return (
        _can(account, binaries.tool("postgres"), "--version")
        and _can(account, binaries.tool("initdb"), "--version")
        and _can(account, "test", "-r", str(binaries.postgres / "share" / "postgresql" / "postgres.bki"))
        and _can(account, str(binaries.redis), "--version")
    )


def _hash_of(home: Path) -> str:
    return hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
