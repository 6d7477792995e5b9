"""The settings: read once, validated, passed on as values.

They come, the first found winning, from `NIGHTREAD_*` environment variables, a `.env` file, and
`nightread.toml` in the home (or, if the home has none, in the current folder).
"""

import codecs
import difflib
import os
import re
import tomllib
import warnings
from collections.abc import Callable, Iterable
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import regex
from apscheduler.triggers.cron import CronTrigger
from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from pipeline.errors import NightreadError
from pipeline.names import FeedKind, Language

PREFIX = "NIGHTREAD_"
FILE_NAME = "nightread.toml"
ENV_FILE = ".env"
# A feed's name becomes part of job keys and log lines, so it stays plain.
FEED_NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"


class InvalidSettings(NightreadError):
    """A setting is unknown or has a value that cannot be used."""


def _known_cron(expression: str) -> str:
    if re.search(r"(?<!/)\d", (expression.split() or [""])[-1]) and len(expression.split()) == 5:
        # 0 is Sunday to cron and Monday to APScheduler; a night must not move by a day over that.
        raise ValueError(f"{expression!r} numbers its weekdays; write them as mon, tue, … or mon-fri")
    try:
        CronTrigger.from_crontab(expression)
    except ValueError as error:
        raise ValueError(f"{expression!r} is no cron expression of five fields: {error}") from None
    return expression


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"{name!r} is no IANA time zone; use a name such as Asia/Seoul") from None
    return name


def _known_encoding(name: str) -> str:
    try:
        codecs.lookup(name)
    except LookupError:
        raise ValueError(f"{name!r} is no encoding that Python knows; use a name such as utf-8 or cp949") from None
    return name


def _pattern(expression: str) -> str:
    """As the guard will read it: by `regex`, which differs from `re`; what it only warns of means something else."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            compiled = regex.compile(expression)
    except (regex.error, Warning) as error:
        raise ValueError(f"{expression!r} is no regular expression: {error}") from None
    if compiled.search(""):
        raise ValueError(f"{expression!r} matches nothing at all, so it would hold back every report")
    return expression


class Relabel(StrEnum):
    """Which past reports a new model reads again; a date instead means those of studies since then."""

    NONE = "none"
    ALL = "all"


def _relabel(given: object) -> "Relabel | date":
    try:
        if isinstance(given, date):
            return given
        return Relabel(str(given)) if given in list(Relabel) else date.fromisoformat(str(given))
    except ValueError:
        raise ValueError(f"{given!r} is neither all nor none nor a date such as 2026-01-01") from None


Cron = Annotated[str, AfterValidator(_known_cron)]
Zone = Annotated[str, AfterValidator(_known_zone)]
Encoding = Annotated[str, AfterValidator(_known_encoding)]
Pattern = Annotated[str, AfterValidator(_pattern)]
Relabelled = Annotated[Relabel | date, PlainValidator(_relabel)]


class Columns(BaseModel):
    """Which column of a CSV or Parquet feed holds what. One that is not named is not read; two have to be there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source_id: str = Field(default="id", min_length=1, description="The report's id in its source system.")
    text: str = Field(default="text", min_length=1, description="The report.")
    updated_at: str | None = Field(default=None, description="When the source last changed it.")
    withdrawn: str | None = Field(default=None, description="True, 1, yes, Y or deleted: the report was withdrawn.")
    accession: str | None = Field(default=None, description="Accession number.")
    patient: str | None = Field(default=None, description="Pseudonym of the patient.")
    study_at: str | None = Field(default=None, description="When the study was made.")
    issued_at: str | None = Field(default=None, description="When the report was issued.")
    code: str | None = Field(default=None, description="Code of the examination; `codes` asks for some of them.")
    modality: str | None = Field(default=None, description="Modality; `modalities` asks for some of them.")


class FeedSettings(BaseModel):
    """One source of reports: where it lies, what it holds and when it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: FeedKind = Field(default=FeedKind.FHIR_NDJSON, description="Format: fhir-ndjson, csv or parquet.")
    path: Path = Field(description="Folder that the hospital's export grows in.")
    site: str = Field(min_length=1, description="Hospital the reports come from.")
    source_system: str = Field(default="fhir", min_length=1, description="System that numbers the reports.")
    schedule: Cron = Field(default="0 1 * * *", description="Cron expression, in the feed's time zone.")
    timezone: Zone | None = Field(default=None, description="The feed's time zone; unset: the hospital's.")
    codes: frozenset[str] = Field(default=frozenset(), description="Wanted report codes; none named: all.")
    modalities: frozenset[str] = Field(
        default=frozenset(), description="Wanted category codes such as CT; none named: all."
    )
    columns: Columns = Field(default=Columns(), description="Columns of a CSV or Parquet feed.")
    encoding: Encoding = Field(default="utf-8", description="Encoding of a CSV feed, e.g. cp949.")
    delimiter: str = Field(default=",", min_length=1, max_length=1, description="Delimiter of a CSV feed.")
    record_numbers: tuple[Pattern, ...] = Field(
        default=(), description="Regular expressions of the hospital's own record numbers, which identify patients."
    )
    quiet_nights: int = Field(
        default=0, ge=0, description="Scheduled pulls in a row that may bring nothing before that is an alert."
    )

    @model_validator(mode="after")
    def _columns_belong_to_tables(self) -> "FeedSettings":
        if self.kind is FeedKind.FHIR_NDJSON:
            for name in ("columns", "encoding", "delimiter"):
                if name in self.model_fields_set:
                    raise ValueError(f"{name} belongs to feeds of kind csv or parquet; remove it or name the kind")
        return self

    def zone(self, house: ZoneInfo) -> ZoneInfo:
        """The feed's time zone, in a house whose own is `house`."""
        return ZoneInfo(self.timezone) if self.timezone else house


class ReplaySettings(BaseModel):
    """The replay buffer: what is kept against forgetting."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    items: int = Field(default=20_000, ge=1, description="Texts kept to train on, shared evenly by the strata.")
    held_out: int = Field(default=200, ge=1, description="Texts per stratum kept apart to measure forgetting on.")


class DriftSettings(BaseModel):
    """How far new reports may be from what the model knows before a refresh is due; a signal that is unset never is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unknown_pieces: float | None = Field(default=0.01, description="Rise of the share of words with an unknown piece.")
    fertility: float | None = Field(default=0.1, description="Rise of pieces per word, as a share of what it was.")
    bits_per_byte: float | None = Field(default=0.2, description="Rise of the masked-LM loss, in bits per byte.")
    # Siddiqi (2006): below 0.1 nothing has shifted, from 0.25 on much has.
    prevalence: float | None = Field(default=0.25, description="Population stability index of a finding.")
    uncertain_labels: float | None = Field(default=0.1, description="Rise of the share of uncertain labels.")
    sample: int = Field(default=300, ge=1, description="Reports per site that bits per byte is measured on.")
    least_reports: int = Field(default=100, ge=1, description="Fewer new reports of a site prove nothing.")


class GateSettings(BaseModel):
    """What a refreshed model has to show before it serves. Margins are how much worse it may be."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    macro_f1: float = Field(default=0.02, ge=0, description="Margin of macro F1 at each site.")
    least_positives: int = Field(default=20, ge=1, description="Fewer positive labels at a site are inconclusive.")
    pearson: float = Field(default=0.02, ge=0, description="Margin of Pearson's r on sentence pairs.")
    pairs: dict[Language, Path] = Field(
        default_factory=dict, description="Files of sentence pairs by language, ko and en; none: not asked."
    )
    bits_per_byte: float = Field(default=0.05, ge=0, description="Margin of bits per byte on each earlier stratum.")
    least_words: int = Field(default=200, ge=1, description="Strata with fewer hidden words are judged together.")
    churn: float | None = Field(
        default=None, gt=0, le=1, description="Share of reports whose labels may change; unset: shown only."
    )
    churn_sample: int = Field(default=200, ge=1, description="Newest labelled reports that churn is measured on.")


class RefreshSettings(BaseModel):
    """When the language model learns from new reports, and how."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schedule: Cron | None = Field(default=None, description="Cron expression of refreshes by calendar; unset: none.")
    new_reports: int | None = Field(
        default=10_000, ge=1, description="New reports that make a refresh due; unset: any number does not."
    )
    least_days: float = Field(default=7, ge=0, description="Days after a refresh in which no other becomes due.")
    epochs: float = Field(default=1.0, gt=0, description="Times that the new reports are read.")
    # The mix that forgot least at as much new text learnt: benchmarks/forgetting.py.
    replay_fraction: float = Field(default=0.25, ge=0, lt=1, description="Share of replayed text in all tokens.")
    replay_masked: float = Field(default=0.33, gt=0, lt=1, description="Share of replayed text that is hidden.")
    distillation: float = Field(
        default=0.0, ge=0, le=1, description="Share of the loss on replayed text that is the former model's guess."
    )
    learning_rate: float = Field(default=1e-4, gt=0, description="Peak learning rate of pre-training.")
    length: int = Field(default=128, ge=16, description="Tokens in a row.")
    batch_tokens: int = Field(default=16_384, ge=16, description="Tokens in a step.")
    checkpoint_every: int = Field(default=100, ge=1, description="Steps between checkpoints.")
    classifier_epochs: int = Field(default=6, ge=1, description="Times that the annotations are read.")
    classifier_learning_rate: float = Field(default=1.5e-4, gt=0, description="Learning rate of the refit.")
    promote: bool = Field(default=True, description="Whether a challenger that passes its gates serves at once.")
    seed: int = Field(default=0, ge=0, description="The same seed and texts give the same model.")
    drift: DriftSettings = Field(default=DriftSettings())
    gates: GateSettings = Field(default=GateSettings())


class Settings(BaseSettings):
    """Everything that can be set; each field's description says what it is for."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_file=ENV_FILE,
        env_ignore_empty=True,  # a line of .env.example that was left empty names nothing
        # Unknown keys are refused by `read`, by name and place; a .env may also hold other programs' keys.
        extra="ignore",
        frozen=True,
    )

    home: Path = Field(default=Path(".nightread"), description="Data folder.")
    database_url: SecretStr | None = Field(
        default=None, description="The hospital's PostgreSQL; unset: an embedded server in the home."
    )
    owner_database_url: SecretStr | None = Field(
        default=None, description="URL that migrates, if DATABASE_URL's user may not become nightread_owner."
    )
    analyst_database_url: SecretStr | None = Field(default=None, description="URL of `sql --role analyst`.")
    reader_database_url: SecretStr | None = Field(default=None, description="URL of `sql --role reader`.")
    broker_url: SecretStr | None = Field(
        default=None, description="The hospital's Redis; unset: an embedded server in the home."
    )
    models_dir: Path | None = Field(
        default=None, description="Folder of model artifacts, shared by all workers; unset: HOME/models."
    )
    timezone: Zone = Field(default="UTC", description="The hospital's time zone (IANA name) for schedules.")
    feeds: dict[Annotated[str, Field(pattern=FEED_NAME)], FeedSettings] = Field(default_factory=dict)
    label_job_size: int = Field(default=64, ge=1, le=1024, description="Reports per label job.")
    label_workers: int = Field(default=1, ge=1, description="Label processes of a machine: one per GPU.")
    pull_chunk: int = Field(default=500, ge=1, description="Records stored per transaction.")
    max_report_bytes: int = Field(default=1_000_000, ge=1, description="Longer texts are quarantined.")
    lease_seconds: float = Field(default=120, gt=0, description="A silent worker loses its job after this.")
    attempts: int = Field(default=3, ge=1, description="Tries before a job is split or dead-lettered.")
    wait_seconds: float = Field(default=5, gt=0, description="First wait after the environment failed.")
    longest_wait_seconds: float = Field(default=300, gt=0, description="Longest such wait.")
    poll_seconds: float = Field(default=5, gt=0, description="The scheduler looks for work at least so often.")
    fullest_disk: float = Field(default=0.9, gt=0, le=1, description="Share of the disk in use that is an alert.")
    reconcile_schedule: Cron = Field(default="0 5 * * *", description="Cron of the reconciling query.")
    drift_schedule: Cron = Field(default="30 5 * * *", description="Cron of measuring how far reports have drifted.")
    relabel: Relabelled = Field(
        default=Relabel.ALL, description="Past reports that a new model reads again: all, none, or since a date."
    )
    replay: ReplaySettings = Field(default=ReplaySettings())
    refresh: RefreshSettings = Field(default=RefreshSettings())

    @model_validator(mode="after")
    def _servers_come_together(self) -> "Settings":
        if (self.database_url is None) != (self.broker_url is None):
            raise ValueError(
                "database_url and broker_url go together: name both to use the hospital's servers, "
                "or neither to use the embedded ones"
            )
        return self

    @property
    def embedded(self) -> bool:
        """Whether the servers are the embedded ones."""
        return self.database_url is None

    @property
    def models_folder(self) -> Path:
        return self.models_dir or self.home / "models"

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # The file's values arrive through `read` as keyword arguments, so they come last.
        return env_settings, dotenv_settings, init_settings


def file_for(home: Path) -> Path | None:
    """The settings file in force: the home's, else the current folder's, else none."""
    return next((file for file in (home / FILE_NAME, Path(FILE_NAME)) if file.is_file()), None)


def read(home: Path | None = None) -> Settings:
    """The settings for a home (default: `NIGHTREAD_HOME`, else `.nightread`).

    Raises `InvalidSettings` naming the unknown key or the unusable value and where it stands.
    """
    environment = {**dotenv_values(ENV_FILE), **os.environ}
    _refuse_unknown(
        (name[len(PREFIX) :].split("__")[0].lower() for name in environment if name.startswith(PREFIX)),
        place=f"the environment or {ENV_FILE}",
        spelled=lambda key: f"{PREFIX}{key.upper()}",
    )
    home = Path(home or environment.get(f"{PREFIX}HOME") or ".nightread").expanduser().absolute()
    file = file_for(home)
    values = _toml(file) if file else {}
    values.pop("home", None)  # a file in the home cannot move the home
    try:
        settings = Settings(**values)
    except ValidationError as error:
        problems = "; ".join(_problem(one) for one in error.errors(include_input=False, include_url=False))
        raise InvalidSettings(f"settings ({file or 'environment'}): {problems}") from None
    base = file.parent.absolute() if file else Path.cwd()
    models = settings.models_dir and base / settings.models_dir.expanduser()
    gates = settings.refresh.gates
    gates = gates.model_copy(update={"pairs": {one: base / file.expanduser() for one, file in gates.pairs.items()}})
    return settings.model_copy(
        update={
            "home": home,
            "models_dir": models,
            "feeds": _absolute(settings.feeds, base),
            "refresh": settings.refresh.model_copy(update={"gates": gates}),
        }
    )


def _toml(file: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise InvalidSettings(f"{file} cannot be read as TOML: {error}") from None
    _refuse_unknown(values, place=str(file), spelled=str)
    return values


def _refuse_unknown(keys: Iterable[str], *, place: str, spelled: Callable[[str], str]) -> None:
    for key in keys:
        if key not in Settings.model_fields:
            near = difflib.get_close_matches(key, Settings.model_fields, n=1)
            hint = f"did you mean {spelled(near[0])}?" if near else "remove it"
            raise InvalidSettings(f"unknown setting {spelled(key)} in {place}; {hint}")


def _problem(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"unknown setting {place}; remove it"
    return f"{place}: {error['msg']}" if place else str(error["msg"])


def _absolute(feeds: dict[str, FeedSettings], base: Path) -> dict[str, FeedSettings]:
    """A folder is meant from where the settings file lies, not from where a worker was started."""
    return {name: feed.model_copy(update={"path": base / feed.path.expanduser()}) for name, feed in feeds.items()}
