"""Settings: read from the environment, .env and nightread.toml, and refused by name when they are wrong."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import settings
from pipeline.settings import InvalidSettings, Settings

FEED = '[feeds.main]\npath = "export"\nsite = "seoul"\n'
URLS = {"NIGHTREAD_DATABASE_URL": "postgresql://u:s3cret@db/n", "NIGHTREAD_BROKER_URL": "redis://:s3cret@r"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home; the current folder is another empty one, and nothing is set in the environment."""
    for folder in ("home", "here"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name in ("HOME", "DATABASE_URL", "BROKER_URL", "OWNER_DATABASE_URL", "ANALYST_DATABASE_URL"):
        monkeypatch.delenv(f"NIGHTREAD_{name}", raising=False)
    monkeypatch.delenv("NIGHTREAD_READER_DATABASE_URL", raising=False)
    return tmp_path / "home"


@pytest.fixture
def refused(home: Path) -> Callable[[str], str]:
    """What is said of a settings file that cannot be used."""

    def said(toml: str) -> str:
        (home / settings.FILE_NAME).write_text(toml, encoding="utf-8")
        with pytest.raises(InvalidSettings) as error:
            settings.read(home)
        return str(error.value)

    return said


def test_nothing_needs_to_be_set(home: Path) -> None:
    found = settings.read(home)
    assert found.home == home
    assert found.embedded
    assert found.models_folder == home / "models"
    assert not found.feeds


def test_the_home_is_absolute_wherever_it_is_named_from(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTREAD_HOME", "../home")
    assert settings.read().home.is_absolute()
    assert settings.read().home.resolve() == home
    monkeypatch.delenv("NIGHTREAD_HOME")
    assert settings.read().home == Path.cwd() / ".nightread"


# --- where they come from


def test_the_environment_wins_over_env_file_over_toml(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / settings.FILE_NAME).write_text("label_job_size = 1\nattempts = 1\npull_chunk = 1\n")
    Path(".env").write_text("NIGHTREAD_LABEL_JOB_SIZE=2\nNIGHTREAD_ATTEMPTS=2\n")
    monkeypatch.setenv("NIGHTREAD_LABEL_JOB_SIZE", "3")
    found = settings.read(home)
    assert (found.label_job_size, found.attempts, found.pull_chunk) == (3, 2, 1)


def test_the_home_s_file_wins_over_the_current_folder_s(home: Path) -> None:
    Path(settings.FILE_NAME).write_text("attempts = 7\nlabel_job_size = 7\n")
    assert settings.read(home).attempts == 7
    (home / settings.FILE_NAME).write_text("attempts = 8\n")
    found = settings.read(home)
    assert (found.attempts, found.label_job_size) == (8, Settings().label_job_size)


def test_the_home_can_be_named_in_env_file(home: Path) -> None:
    Path(".env").write_text(f"NIGHTREAD_HOME={home}\n")
    assert settings.read().home == home


def test_a_file_cannot_move_the_home(home: Path) -> None:
    (home / settings.FILE_NAME).write_text('home = "/elsewhere"\n')
    assert settings.read(home).home == home


def test_other_programs_keys_may_stand_in_env_file(home: Path) -> None:
    Path(".env").write_text("POSTGRES_PASSWORD=x\nNIGHTREAD_ATTEMPTS=2\n")
    assert settings.read(home).attempts == 2


def test_a_feed_can_be_set_in_the_environment_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTREAD_FEEDS__MAIN__PATH", "/data/export")
    monkeypatch.setenv("NIGHTREAD_FEEDS__MAIN__SITE", "seoul")
    monkeypatch.setenv("NIGHTREAD_FEEDS__MAIN__CODES", '["24627-2"]')
    feed = settings.read(home).feeds["main"]
    assert (feed.path, feed.site, feed.codes) == (Path("/data/export"), "seoul", frozenset({"24627-2"}))


def test_one_value_of_a_feed_can_be_overridden(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / settings.FILE_NAME).write_text(FEED)
    monkeypatch.setenv("NIGHTREAD_FEEDS__MAIN__SCHEDULE", "0 3 * * *")
    feed = settings.read(home).feeds["main"]
    assert (feed.schedule, feed.site) == ("0 3 * * *", "seoul")


# --- paths


def test_a_relative_feed_folder_is_meant_from_its_file(home: Path) -> None:
    (home / settings.FILE_NAME).write_text(FEED)
    assert settings.read(home).feeds["main"].path == home / "export"


def test_without_a_file_it_is_meant_from_the_current_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTREAD_FEEDS__MAIN__PATH", "export")
    monkeypatch.setenv("NIGHTREAD_FEEDS__MAIN__SITE", "seoul")
    assert settings.read(home).feeds["main"].path == Path.cwd() / "export"


def test_an_absolute_feed_folder_stays(home: Path) -> None:
    (home / settings.FILE_NAME).write_text(FEED.replace('"export"', '"/data/export"'))
    assert settings.read(home).feeds["main"].path == Path("/data/export")


def test_a_relative_models_folder_is_meant_from_its_file(home: Path) -> None:
    (home / settings.FILE_NAME).write_text('models_dir = "shared-models"\n')
    assert settings.read(home).models_folder == home / "shared-models"


# --- unknown keys


def test_an_unknown_key_in_the_file_is_named_with_its_neighbour(refused: Callable[[str], str]) -> None:
    said = refused("lable_job_size = 5\n")
    assert "lable_job_size" in said
    assert "did you mean label_job_size?" in said
    assert settings.FILE_NAME in said


def test_an_unknown_key_like_no_other_is_named(refused: Callable[[str], str]) -> None:
    assert "unknown setting xyzzy" in refused("xyzzy = 5\n")


def test_an_unknown_key_of_a_feed_is_named_with_its_place(refused: Callable[[str], str]) -> None:
    assert "feeds.main.sight" in refused(FEED + 'sight = "x"\n')


@pytest.mark.parametrize("where", ["environment", "env file"])
def test_an_unknown_key_in_the_environment_is_named(where: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if where == "environment":
        monkeypatch.setenv("NIGHTREAD_DATABSE_URL", "x")
    else:
        Path(".env").write_text("NIGHTREAD_DATABSE_URL=x\n")
    with pytest.raises(InvalidSettings, match=r"NIGHTREAD_DATABSE_URL.*did you mean NIGHTREAD_DATABASE_URL\?"):
        settings.read(home)


def test_an_unknown_nested_key_in_the_environment_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / settings.FILE_NAME).write_text(FEED)
    monkeypatch.setenv("NIGHTREAD_FEEDS__MAIN__SIGHT", "x")
    with pytest.raises(InvalidSettings, match=r"feeds\.main\.sight"):
        settings.read(home)


# --- unusable values


def test_an_unknown_zone_is_refused(refused: Callable[[str], str]) -> None:
    assert "'Seoul' is no IANA time zone" in refused('timezone = "Seoul"\n')
    assert "'/etc/passwd' is no IANA time zone" in refused('timezone = "/etc/passwd"\n')


@pytest.mark.parametrize("cron", ["nightly", "0 1 * *", "0 25 * * *", "0 1 * * * *", "", "61 1 * * *"])
def test_a_bad_cron_is_refused_by_name(cron: str, refused: Callable[[str], str]) -> None:
    said = refused(f'reconcile_schedule = "{cron}"\n')
    assert "reconcile_schedule" in said
    assert f"{cron!r} is no cron expression" in said


@pytest.mark.parametrize("weekday", ["0", "1-5", "6,sun", "mon-5", "7"])
def test_weekday_numbers_are_refused(weekday: str, refused: Callable[[str], str]) -> None:
    assert "numbers its weekdays" in refused(FEED + f'schedule = "0 1 * * {weekday}"\n')


@pytest.mark.parametrize("weekday", ["*", "*/2", "mon", "mon-fri", "sat,sun"])
def test_weekdays_by_name_are_taken(weekday: str, home: Path) -> None:
    (home / settings.FILE_NAME).write_text(FEED + f'schedule = "0 1 1-7 * {weekday}"\n')
    assert settings.read(home).feeds["main"].schedule == f"0 1 1-7 * {weekday}"


@pytest.mark.parametrize("name", list(URLS))
def test_one_url_without_the_other_is_refused(name: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, URLS[name])
    with pytest.raises(InvalidSettings, match="database_url and broker_url go together"):
        settings.read(home)


def test_both_urls_name_the_hospital_s_servers(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, url in URLS.items():
        monkeypatch.setenv(name, url)
    assert not settings.read(home).embedded


def test_a_feed_without_site_or_path_is_refused(refused: Callable[[str], str]) -> None:
    said = refused("[feeds.main]\n")
    assert "feeds.main.path" in said
    assert "feeds.main.site" in said


def test_a_feed_kind_that_does_not_exist_is_refused(refused: Callable[[str], str]) -> None:
    assert "feeds.main.kind" in refused(FEED + 'kind = "hl7"\n')


@pytest.mark.parametrize("name", ["Main", "a b", "-a", "결과", "x" * 64])
def test_feed_names_stay_plain(name: str, refused: Callable[[str], str]) -> None:
    assert "feeds" in refused(FEED.replace("main", f'"{name}"'))


@pytest.mark.parametrize("line", ["label_job_size = 0", "attempts = 0", "lease_seconds = 0", 'pull_chunk = "many"'])
def test_numbers_that_make_no_sense_are_refused_by_name(line: str, refused: Callable[[str], str]) -> None:
    assert line.split(maxsplit=1)[0] in refused(f"{line}\n")


def test_a_file_that_is_no_toml_is_named(refused: Callable[[str], str]) -> None:
    said = refused("attempts: 3\n")
    assert settings.FILE_NAME in said
    assert "line 1" in said


def test_all_mistakes_are_said_at_once(refused: Callable[[str], str]) -> None:
    said = refused('attempts = 0\ntimezone = "Seoul"\n')
    assert "attempts" in said
    assert "timezone" in said


# --- secrets


def test_passwords_are_in_no_repr_and_no_message(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, url in URLS.items():
        monkeypatch.setenv(name, url)
    assert "s3cret" not in repr(settings.read(home))
    assert "s3cret" not in str(settings.read(home))
    (home / settings.FILE_NAME).write_text("attempts = 0\n")
    with pytest.raises(InvalidSettings) as error:
        settings.read(home)
    assert "s3cret" not in str(error.value)


def test_a_misplaced_password_is_not_quoted(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTREAD_BROKER_URL", URLS["NIGHTREAD_BROKER_URL"])
    with pytest.raises(InvalidSettings) as error:
        settings.read(home)
    assert "s3cret" not in str(error.value)


def test_settings_cannot_be_changed(home: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        settings.read(home).attempts = 5  # type: ignore[misc]


def test_an_empty_variable_counts_as_unset(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in URLS:
        monkeypatch.setenv(name, "")
    assert settings.read(home).embedded
