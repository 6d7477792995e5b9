"""What several files here begin with: commands typed in the house, databases of their own, a dividing threshold."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer
from clusters import Cluster
from typed_commands import Typed, typist
from typer.testing import CliRunner, Result
from under_test import HouseUnderTest

import migrations
from nightread import console
from nightread.servers import Addresses
from pipeline.names import Role


@pytest.fixture
def typed(house: HouseUnderTest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Type `nightread …` in the house. Files about one group of commands have a `typed` of their own."""
    for name, value in house.environment.items():
        monkeypatch.setenv(name, value)
    return typist(monkeypatch, capsys)


@pytest.fixture
def in_house(house: HouseUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of this process find the house, and a line that they tell is found as a line."""
    for name, value in house.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(console.out, "width", 200)
    monkeypatch.setattr(console.err, "width", 200)


@pytest.fixture
def invoke(in_house: None) -> Callable[..., Result]:
    """Invoke a command of one app in the house: what it printed, and the error that it raised."""

    def run(app: typer.Typer, *arguments: object) -> Result:
        return CliRunner().invoke(app, list(map(str, arguments)))

    return run


@pytest.fixture(scope="module")
def cluster(addresses: Addresses, servers_home: Path) -> Iterator[Cluster]:
    """The tests' own servers, where Nightread's roles exist."""
    here = Cluster(addresses, servers_home)
    yield here
    here.drop()


@pytest.fixture(scope="module")
def migrated(cluster: Cluster) -> str:
    """The URL of a freshly migrated database, as its superuser."""
    url = cluster.url(cluster.database("freshly_migrated", owner=Role.OWNER))
    migrations.upgrade(url)
    return url


@pytest.fixture(scope="session")
def dividing(tiny_artifact: tuple[Path, str]) -> float:
    """A threshold that some of the tiny classifier's probabilities reach and others do not."""
    from label_jobs import TEXTS  # and torch with it, which few of the tests here need

    from models.classifier import Classifier

    said = Classifier.load(tiny_artifact[0], device="cpu").probabilities(TEXTS)
    ordered = sorted(said.flat)
    middle = len(ordered) // 2
    return float(ordered[middle - 1] + ordered[middle]) / 2
