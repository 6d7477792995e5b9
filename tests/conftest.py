"""Real servers, once per session, and a house that every test finds empty."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from under_test import TINY_TEXTS, HouseUnderTest, broker_client

import migrations
from nightread.servers import Addresses, running
from pipeline import label_sets, model_versions, pulls, settings
from pipeline.annotation_files import text_hash
from pipeline.database import Sessions, engine
from pipeline.model_versions import NewVersion
from pipeline.names import Role
from pipeline.settings import FeedSettings
from pipeline.tables import Annotation, Report, Split, Table


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--transport",
        choices=["socket", "tcp"],
        default="socket",
        help="how the tests reach PostgreSQL and Redis: embedded on sockets, or named by URL with passwords",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # The fault tests' workers stay for the rest of the session and would take other tests' jobs.
    items.sort(key=lambda item: "faults" in item.path.parts)


@pytest.fixture(scope="session")
def transport(request: pytest.FixtureRequest) -> str:
    chosen: str = request.config.getoption("--transport")
    return chosen


@pytest.fixture(scope="session")
def servers_home() -> Iterator[Path]:
    # Not tmp_path: as root the servers run as another account, which cannot reach into pytest's folder.
    home = Path(tempfile.mkdtemp(prefix="nightread-test-", dir="/tmp"))
    home.chmod(0o711)
    yield home
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def addresses(servers_home: Path, transport: str) -> Iterator[Addresses]:
    with running(servers_home, tcp=transport == "tcp") as found:
        migrations.upgrade(found.database_url(Role.OWNER))
        yield found


@pytest.fixture
def house(servers_home: Path, addresses: Addresses, transport: str) -> Iterator[HouseUnderTest]:
    _empty(addresses)
    for left in (settings.FILE_NAME, "up.lock", "crew.json"):
        (servers_home / left).unlink(missing_ok=True)
    environment = {"NIGHTREAD_HOME": str(servers_home)}
    if transport == "tcp":
        # As a hospital names its own servers: one login that may become any of the roles.
        environment |= {
            "NIGHTREAD_DATABASE_URL": addresses.database_url(Role.APP),
            "NIGHTREAD_OWNER_DATABASE_URL": addresses.database_url(Role.OWNER),
            "NIGHTREAD_ANALYST_DATABASE_URL": addresses.database_url(Role.ANALYST),
            "NIGHTREAD_READER_DATABASE_URL": addresses.database_url(Role.READER),
            "NIGHTREAD_BROKER_URL": addresses.broker_url,
        }
    sessions = Sessions(engine(addresses.database_url(Role.APP), Role.APP))
    yield HouseUnderTest(servers_home, addresses, environment, sessions)
    sessions.engine.dispose()


def _empty(addresses: Addresses) -> None:
    owner = engine(addresses.database_url(Role.OWNER))
    with owner.begin() as connection:
        # Not TRUNCATE: it makes every table's files anew, and the shutdown would sync thousands of them.
        for table in reversed(Table.metadata.sorted_tables):
            connection.execute(table.delete())
            if "id" in table.columns:
                restart = text("SELECT setval(pg_get_serial_sequence(:name, 'id'), 1, false)")
                connection.execute(restart, {"name": table.name})
    with Sessions(owner).begin() as session:
        label_sets.register_default(session)
    owner.dispose()
    broker_client(addresses).flushall()


@pytest.fixture(scope="session")
def tiny_artifact(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A real, small, hardly trained classifier of the 18 default labels, and its sha256."""
    from models.encoder import new_encoder
    from models.finetuning import fine_tune
    from models.vocabulary import train_wordpiece

    folder = tmp_path_factory.mktemp("tiny")
    new_encoder(folder / "foundation", train_wordpiece(TINY_TEXTS * 5, 400), layers=1, width=32, heads=2)
    labels = [name for name, _, _ in label_sets.CT_RATE_FINDINGS]
    sha256 = fine_tune(
        folder / "foundation",
        folder / "artifact",
        texts=TINY_TEXTS,
        labels=[[(row + column) % 2 for column in range(len(labels))] for row in range(len(TINY_TEXTS))],
        label_names=labels,
        epochs=1,
        device="cpu",
    )
    return folder / "artifact", sha256


@pytest.fixture
def serve(house: HouseUnderTest, tiny_artifact: tuple[Path, str]) -> Callable[..., int]:
    """Register the tiny classifier and let it serve; returns its version. Low thresholds give every report findings."""

    def register(*, threshold: float = 0.01, artifact: str = "tiny") -> int:
        folder, sha256 = tiny_artifact
        place = house.home / "models" / artifact
        if not place.exists():
            shutil.copytree(folder, place)
        with house.sessions.begin() as session:
            label_set = label_sets.register_default(session)
            version = model_versions.register(
                session,
                NewVersion(
                    foundation="tiny",
                    artifact=artifact,
                    artifact_sha256=sha256,
                    label_set_id=label_set,
                    thresholds=[threshold] * len(label_sets.CT_RATE_FINDINGS),
                    metrics={},
                    settings={},
                    fitted_on=[],
                ),
            )
            model_versions.promote(session, version, by="test@here", rules=house.house.rules)
        return version

    return register


@pytest.fixture
def something_to_learn(house: HouseUnderTest) -> None:
    """What a refresh needs: a report that is new, and an annotation to fit on."""
    with house.sessions.begin() as session:
        label_set = label_sets.register_default(session)
        pulls.register(session, "main", FeedSettings(path=Path("/nowhere"), site="seoul"))
        session.add(
            Annotation(
                label_set_id=label_set,
                site="seoul",
                source_id="a1",
                text_hash=text_hash(TINY_TEXTS[0]),
                text=TINY_TEXTS[0],
                labels=[0] * len(label_sets.CT_RATE_FINDINGS),
                split=Split.TRAIN,
            )
        )
        session.add(
            Report(
                site="seoul",
                source_system="fhir",
                source_id="new",
                version=1,
                is_current=True,
                language="en",
                text=TINY_TEXTS[0],
                content_hash="0" * 64,
                feed="main",
            )
        )
