"""Where reports come from: one reader per format. A new format is a new file here and a case in `reader`."""

import hashlib
from collections.abc import Mapping
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from pipeline.feeds import csv_file
from pipeline.feeds.csv_file import CsvFile
from pipeline.feeds.fhir_ndjson import FhirNdjson
from pipeline.feeds.record import Reader, Wants
from pipeline.feeds.table_feed import TableFeed
from pipeline.feeds.table_row import Meaning
from pipeline.names import FeedKind
from pipeline.settings import FeedSettings, InvalidSettings


def reader(feed: FeedSettings, cursor: Mapping[str, Any], *, max_text_bytes: int, zone: ZoneInfo) -> Reader:
    """A feed, to be read from where `cursor` stands; times in tables that name no zone are in `zone`.

    Raises `FeedFolderMissing`, and `InvalidSettings` where the settings ask for what the format cannot give.
    """
    wants = Wants(codes=feed.codes, modalities=feed.modalities)
    match feed.kind:
        case FeedKind.FHIR_NDJSON:
            return FhirNdjson(feed.path, cursor, wants=wants, max_text_bytes=max_text_bytes)
        case FeedKind.CSV:
            meaning, shape = _meaning(feed, wants, max_text_bytes, zone), _shape(feed)
            encoding = csv_file.usable_encoding(feed.encoding)
            opened = partial(CsvFile, encoding=encoding, delimiter=feed.delimiter, meaning=meaning, shape=shape)
            return TableFeed(
                feed.path, cursor, suffixes=csv_file.SUFFIXES, within=csv_file.WITHIN, shape=shape, opened=opened
            )
        case FeedKind.PARQUET:
            from pipeline.feeds import parquet_file as files  # noqa: PLC0415 - Arrow takes 0.3 s of every command

            meaning, shape = _meaning(feed, wants, max_text_bytes, zone), _shape(feed)
            read = partial(files.ParquetFile, meaning=meaning, shape=shape)
            return TableFeed(feed.path, cursor, suffixes=files.SUFFIXES, within=files.WITHIN, shape=shape, opened=read)


def _meaning(feed: FeedSettings, wants: Wants, max_text_bytes: int, zone: ZoneInfo) -> Meaning:
    for asked, column in (("codes", "code"), ("modalities", "modality")):
        if getattr(feed, asked) and getattr(feed.columns, column) is None:
            raise InvalidSettings(
                f"the feed in {feed.path} asks for some {asked} but names no column for them; "
                f"add columns.{column} to it, or remove {asked}"
            )
    return Meaning(columns=feed.columns, wants=wants, max_text_bytes=max_text_bytes, zone=zone)


def _shape(feed: FeedSettings) -> str:
    """What a refused table was refused for; another one when the settings change it."""
    described = feed.model_dump_json(include={"columns", "encoding", "delimiter"})
    return hashlib.sha256(described.encode()).hexdigest()[:16]
