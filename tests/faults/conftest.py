"""A house with real processes that the fault tests kill, stop and starve."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stage import FEED, KILLS, RAISES, Processes, Stage

from nightread.servers import Addresses
from pipeline.names import Role


@pytest.fixture(scope="session")
def processes(
    servers_home: Path, addresses: Addresses, tmp_path_factory: pytest.TempPathFactory, transport: str
) -> Iterator[Processes]:
    if transport == "tcp":
        pytest.skip("faults need the embedded servers on their sockets; the transport makes no difference to them")
    folder = tmp_path_factory.mktemp("stage")
    (folder / "feed").mkdir()
    started = Processes(
        environment={
            "NIGHTREAD_HOME": str(servers_home),
            "NIGHTREAD_DATABASE_URL": addresses.database_url(Role.APP),
            "NIGHTREAD_BROKER_URL": addresses.broker_url,
            "NIGHTREAD_POLL_SECONDS": "0.5",
            "NIGHTREAD_WAIT_SECONDS": "0.5",
            "NIGHTREAD_LONGEST_WAIT_SECONDS": "1",
            "NIGHTREAD_LABEL_JOB_SIZE": "4",
            "NIGHTREAD_PULL_CHUNK": "5",
            f"NIGHTREAD_FEEDS__{FEED.upper()}__PATH": str(folder / "feed"),
            f"NIGHTREAD_FEEDS__{FEED.upper()}__SITE": "site",
            "FAULTS_STAGE": str(folder),
            "FAULTS_RAISES": RAISES,
            "FAULTS_KILLS": KILLS,
        },
        folder=folder,
    )
    yield started
    started.end_all()


@pytest.fixture
def nobody_else(processes: Processes) -> None:
    """No process of an earlier test is at work: one that labels would read what the test counts on as unread."""
    processes.end_all()


@pytest.fixture
def stage(house: Any, processes: Processes) -> Iterator[Stage]:
    """An empty house; processes of earlier tests may still be there and are used again."""
    found = Stage(house, processes.folder, processes)
    shutil.rmtree(found.feed, ignore_errors=True)
    found.feed.mkdir()
    yield found
    found.clear()
