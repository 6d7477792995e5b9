"""Measuring drift, on a real database and with tiny models: what is counted, kept, and stands in the way."""

import json
import shutil
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from given import MONDAY, record, store
from sqlalchemy import text
from typer.testing import CliRunner, Result
from under_test import TINY_TEXTS, HouseUnderTest

from nightread.commands import drift as command
from pipeline import drift, findings, labelling
from pipeline.findings import Labelled
from pipeline.names import Signal
from worker import measure_drift

Serve = Callable[..., int]
# Characters that the tiny vocabulary has never seen, and words that it knows.
STRANGE = ("鼻炎 和 肺炎 观察 " * 8, "肝脏 未见 异常 病变 " * 8, "左 上 叶 结节 " * 8)
FAMILIAR = TINY_TEXTS
THREE = "[refresh.drift]\nleast_reports = 3\n"


def came(house: HouseUnderTest, texts: Sequence[str], *, site: str = "seoul") -> list[int]:
    """Reports that a site sends now; their ids."""
    before = house.value("SELECT coalesce(max(id), 0) FROM report")
    store(house, *(record(f"{site}{before}-{number}", one) for number, one in enumerate(texts)), feed=site, site=site)
    return [row.id for row in house.rows("SELECT id FROM report WHERE id > :before ORDER BY id", before=before)]


def labelled(house: HouseUnderTest, reports: Sequence[int], probability: float, *, version: int | None = None) -> None:
    """As if the model (the serving one, or else `version`) had given each report the same probability of everything."""
    with house.sessions.begin() as session:
        model = labelling.serving(session)
        assert model is not None
        if version is None:
            said = [Labelled(report, (probability,) * 18, ()) for report in reports]
            findings.save(session, said, model=model)
            return
        for report in reports:
            session.execute(
                text("INSERT INTO classification (report_id, model_version_id, probabilities) VALUES (:r, :v, :p)"),
                {"r": report, "v": version, "p": [probability] * 18},
            )


def measured(house: HouseUnderTest) -> dict[str, Any]:
    """Ask for a measurement and run it; its job."""
    with house.sessions.begin() as session:
        drift.ask(session, attempts=3)
    assert measure_drift.run_next(house.sessions, house.house.settings, worker="test")
    [row] = house.rows("SELECT state, outcome, error, attempts FROM job WHERE kind = 'drift' ORDER BY id DESC LIMIT 1")
    return dict(row._mapping)


def signals(house: HouseUnderTest) -> dict[tuple[str, str], Any]:
    """The newest signals, by site and signal; those of prevalence by finding."""
    rows = house.rows("SELECT * FROM drift_signals WHERE is_newest")
    return {(row.site, row.label or row.signal): row for row in rows}


@pytest.fixture(scope="session")
def tiny_language_model(tiny_artifact: tuple[Path, str]) -> tuple[Path, str]:
    """An untrained masked language model with the tiny vocabulary, and its sha256."""
    from models import masked_lm

    folder = tiny_artifact[0].parent / "language-model"
    network, tokenizer = masked_lm.load(tiny_artifact[0].parent / "foundation")
    return folder, masked_lm.save(network, tokenizer, folder)


@pytest.fixture
def language_model(house: HouseUnderTest, tiny_language_model: tuple[Path, str]) -> Callable[[int], Path]:
    """Let a version have been fine-tuned from the tiny language model; its folder in the house."""
    folder, sha256 = tiny_language_model
    place = house.home / "models" / "tiny-language-model"

    def of(version: int) -> Path:
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(folder, place)
        house.execute(
            "UPDATE model_version SET language_model = :name, language_model_sha256 = :sha WHERE id = :version",
            name=place.name, sha=sha256, version=version,
        )  # fmt: skip
        return place

    return of


# --- what is measured


def test_every_signal_of_a_site_is_one_night_s(
    house: HouseUnderTest, serve: Serve, language_model: Callable[[int], Path]
) -> None:
    house.configure(THREE)
    known = came(house, FAMILIAR)
    language_model(serve(threshold=0.5))
    new = came(house, STRANGE)
    labelled(house, known, 0.1)
    labelled(house, new, 0.6)

    job = measured(house)

    assert (job["state"], job["outcome"]) == ("done", {"signals": 22, "sites": 1, "new_reports": 3})
    found = signals(house)
    assert len(found) == 22
    assert {site for site, _ in found} == {"seoul"}
    assert {row.signal for row in found.values()} == set(Signal)
    assert house.value("SELECT count(DISTINCT measured_at) FROM drift_signal") == 1
    assert {row.reports for row in found.values()} == {3}

    unknown = found["seoul", "unknown-pieces"]
    assert (unknown.value, unknown.reference) == (1.0, 0.0)
    assert unknown.exceeded
    emphysema = found["seoul", "Emphysema"]
    assert (emphysema.value, emphysema.reference) == (1.0, 0.0)
    assert emphysema.exceeded
    uncertain = found["seoul", "uncertain-labels"]
    assert (uncertain.value, uncertain.reference) == (1.0, 0.0)


def test_the_texts_figures_are_those_of_the_model_s_own_language_model(
    house: HouseUnderTest, serve: Serve, language_model: Callable[[int], Path]
) -> None:
    from models import bits, fertility, masked_lm

    house.configure(THREE)
    came(house, FAMILIAR)
    folder = language_model(serve())
    new = [" ".join(FAMILIAR[::-1]), " ".join(FAMILIAR), FAMILIAR[0] * 3]
    came(house, new)

    measured(house)

    network, tokenizer = masked_lm.load(folder)
    found = signals(house)
    expected = {
        "fertility": fertility.measure(tokenizer, new).pieces_per_word,
        "bits-per-byte": bits.measure(network, tokenizer, new).bits_per_byte,
    }
    for signal, value in expected.items():
        assert found["seoul", signal].value == pytest.approx(value, rel=1e-4)
        assert found["seoul", signal].reference is not None
    assert found["seoul", "bits-per-byte"].reference == pytest.approx(
        bits.measure(network, tokenizer, FAMILIAR).bits_per_byte, rel=1e-4
    )


def test_without_a_language_model_the_classifier_s_vocabulary_is_measured(house: HouseUnderTest, serve: Serve) -> None:
    house.configure(THREE)
    came(house, FAMILIAR)
    serve()
    came(house, STRANGE)
    measured(house)
    assert {row.signal for row in signals(house).values()} == {"unknown-pieces", "fertility"}, "nothing is labelled yet"
    assert signals(house)["seoul", "unknown-pieces"].value == 1.0


def test_too_few_words_for_bits_per_byte_leave_the_other_signals(
    house: HouseUnderTest, serve: Serve, language_model: Callable[[int], Path]
) -> None:
    house.configure(THREE)
    language_model(serve())
    came(house, ["1", "2", "3"])
    assert measured(house)["state"] == "done"
    assert {row.signal for row in signals(house).values()} == {"unknown-pieces", "fertility"}


def test_a_vocabulary_that_never_could_write_a_site_does_not_drift(house: HouseUnderTest, serve: Serve) -> None:
    house.configure(THREE)
    came(house, STRANGE)
    serve()
    came(house, STRANGE)
    measured(house)
    unknown = signals(house)["seoul", "unknown-pieces"]
    assert (unknown.value, unknown.drift, unknown.exceeded) == (1.0, 0.0, False)


def test_sites_are_measured_apart_and_a_new_one_against_the_others(house: HouseUnderTest, serve: Serve) -> None:
    house.configure(THREE)
    came(house, FAMILIAR)
    serve()
    came(house, FAMILIAR)
    came(house, STRANGE, site="busan")
    came(house, STRANGE[:2], site="daegu")
    job = measured(house)
    assert job["outcome"] == {"signals": 4, "sites": 2, "new_reports": 9}
    found = signals(house)
    assert {site for site, _ in found} == {"seoul", "busan"}, "two reports prove nothing"
    assert not found["seoul", "unknown-pieces"].exceeded
    assert found["busan", "unknown-pieces"].reference == 0.0
    assert found["busan", "unknown-pieces"].exceeded


def test_where_nothing_was_known_before_nothing_has_drifted(house: HouseUnderTest, serve: Serve) -> None:
    house.configure(THREE)
    serve()
    labelled(house, came(house, STRANGE), 0.9)
    measured(house)
    rows = signals(house).values()
    assert len(rows) == 21
    assert {(row.reference, row.drift, row.exceeded) for row in rows} == {(None, None, False)}


def test_only_what_the_serving_model_said_counts(house: HouseUnderTest, serve: Serve) -> None:
    house.configure(THREE)
    former = serve(threshold=0.5)
    known = came(house, FAMILIAR)
    house.execute("UPDATE model_version SET artifact_sha256 = 'former' WHERE id = :id", id=former)
    serve(threshold=0.5)
    new = came(house, FAMILIAR)
    labelled(house, [*known, *new], 0.9, version=former)
    labelled(house, known, 0.1)
    labelled(house, new[:3], 0.1)
    measured(house)
    emphysema = signals(house)["seoul", "Emphysema"]
    assert (emphysema.value, emphysema.reference, emphysema.reports) == (0.0, 0.0, 3)


def test_a_night_without_signals_leaves_the_former_ones_the_newest(house: HouseUnderTest, serve: Serve) -> None:
    house.configure(THREE)
    came(house, FAMILIAR)
    serve()
    new = came(house, STRANGE)
    measured(house)
    measured(house)
    nights = "SELECT count(DISTINCT measured_at) FROM drift_signals"
    assert (house.value(nights), house.value(f"{nights} WHERE is_newest")) == (2, 1)
    house.execute("UPDATE report SET withdrawn_at = now() WHERE id = :id", id=new[0])
    assert measured(house)["outcome"] == {"signals": 0, "sites": 0, "new_reports": 2}
    assert (house.value(nights), house.value(f"{nights} WHERE is_newest")) == (2, 1)


# --- what is new


def halves(house: HouseUnderTest) -> tuple[dict[str, int], dict[str, int]]:
    with house.sessions.begin() as session:
        model = labelling.serving(session)
        assert model is not None
        return drift.counts(session, drift.horizon(session, model))


def test_new_is_what_came_after_the_model_was_made(house: HouseUnderTest, serve: Serve) -> None:
    came(house, FAMILIAR)
    serve()
    came(house, FAMILIAR[:1])
    came(house, FAMILIAR[:2], site="busan")
    assert halves(house) == ({"seoul": 1, "busan": 2}, {"seoul": 4})


def test_new_thresholds_do_not_make_a_model_know_more(house: HouseUnderTest, serve: Serve) -> None:
    came(house, FAMILIAR)
    serve(threshold=0.5)
    came(house, FAMILIAR[:2])
    serve(threshold=0.4)  # the same artifact
    assert halves(house) == ({"seoul": 2}, {"seoul": 4})


def test_after_a_refresh_new_is_what_it_has_not_learnt_from(house: HouseUnderTest, serve: Serve) -> None:
    ids = came(house, FAMILIAR)
    house.execute(
        "INSERT INTO refresh_run (reason, asked_by, state, model_version_id, until_report_id, finished_at) "
        "VALUES ('asked', 'a@b', 'promoted', :version, :until, now())",
        version=serve(), until=ids[2],
    )  # fmt: skip
    came(house, FAMILIAR[:2])
    assert halves(house) == ({"seoul": 3}, {"seoul": 3}), "reports that came while it trained are new to it"


def test_withdrawn_and_superseded_reports_count_nowhere(house: HouseUnderTest, serve: Serve) -> None:
    serve()
    store(house, *(record(f"r{number}", one) for number, one in enumerate(FAMILIAR)))
    tuesday = MONDAY + timedelta(days=1)
    store(house, record("r0", None, updated_at=tuesday), record("r1", "Amended.", updated_at=tuesday))
    assert halves(house) == ({"seoul": 3}, {})


def test_a_sample_is_bounded_and_always_the_same(house: HouseUnderTest, serve: Serve) -> None:
    known = [f"Known {number}." for number in range(6)]
    new = [f"New {number}." for number in range(6)]
    came(house, known)
    serve()
    came(house, new)
    came(house, ["Elsewhere."], site="busan")

    def sample(size: int, *, is_new: bool = True, sites: Sequence[str] = ("seoul",)) -> list[str]:
        with house.sessions.begin() as session:
            model = labelling.serving(session)
            assert model is not None
            knows = drift.horizon(session, model)
            return drift.sample(session, knows, sites=sites, is_new=is_new, size=size)

    assert sorted(sample(100)) == new
    assert sorted(sample(100, is_new=False)) == known
    assert sample(4) == sample(4) == sample(100)[:4]
    assert sample(100) != new, "by hash, not in the order in which they came"
    assert len(sample(100, sites=("seoul", "busan"))) == 7
    assert sample(100, sites=()) == []


# --- what stands in the way


def test_without_a_model_there_is_nothing_to_measure_by(house: HouseUnderTest) -> None:
    came(house, FAMILIAR)
    job = measured(house)
    assert (job["state"], job["outcome"]) == ("done", {"nothing": "no model serves"})
    assert house.value("SELECT count(*) FROM drift_signal") == 0


def test_where_nothing_is_asked_for_nothing_is_done(house: HouseUnderTest) -> None:
    assert not measure_drift.run_next(house.sessions, house.house.settings, worker="test")


def test_another_language_model_than_registered_is_not_measured_with(
    house: HouseUnderTest, serve: Serve, language_model: Callable[[int], Path]
) -> None:
    house.configure(THREE)
    version = serve()
    language_model(version)
    came(house, FAMILIAR)
    house.execute("UPDATE model_version SET language_model_sha256 = 'another' WHERE id = :id", id=version)
    job = measured(house)
    assert (job["state"], job["attempts"]) == ("ready", 0), "the environment failed, so the attempt does not count"
    assert "'tiny-language-model' is not the one that was registered" in job["error"]
    assert house.value("SELECT count(*) FROM drift_signal") == 0


@pytest.mark.parametrize("fault", ["altered", "gone"])
def test_a_broken_language_model_is_waited_for(
    house: HouseUnderTest, serve: Serve, language_model: Callable[[int], Path], fault: str
) -> None:
    house.configure(THREE)
    folder = language_model(serve())
    came(house, FAMILIAR)
    if fault == "gone":
        shutil.rmtree(folder)
    else:
        (folder / "config.json").write_text("{}")
    job = measured(house)
    assert (job["state"], job["attempts"]) == ("ready", 0)
    assert "tiny-language-model" in job["error"]

    language_model(1)
    assert measured(house)["state"] == "done", "asking again wakes it, and what it lacked has come"
    assert house.value("SELECT count(*) FROM job WHERE kind = 'drift'") == 1


def test_who_lost_the_lease_keeps_nothing(house: HouseUnderTest, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    house.configure(THREE)
    serve()
    came(house, FAMILIAR)
    sample = drift.sample

    def robbed(*given: Any, **named: Any) -> list[str]:
        house.execute("UPDATE job SET epoch = epoch + 1 WHERE kind = 'drift'")
        return sample(*given, **named)

    monkeypatch.setattr(drift, "sample", robbed)
    assert measured(house)["state"] == "running", "whoever has it now goes on"
    assert house.value("SELECT count(*) FROM drift_signal") == 0


# --- the command


def run(house: HouseUnderTest, *arguments: str) -> Result:
    found = CliRunner().invoke(command.app, [*arguments, "--home", str(house.home)], env=house.environment)
    assert found.exit_code == 0, found.output
    return found


def test_the_command_says_what_to_do_before_the_first_night(house: HouseUnderTest) -> None:
    assert "Nothing has been measured yet; `nightread drift measure`" in run(house).output
    assert json.loads(run(house, "--json").stdout) == []


def test_the_command_asks_for_a_measurement_once(house: HouseUnderTest) -> None:
    assert "was asked for." in run(house, "measure").output
    assert "was asked for already." in run(house, "measure").output
    assert house.value("SELECT count(*) FROM job WHERE kind = 'drift' AND state = 'ready'") == 1
    assert "is under way" in run(house).output


def test_the_command_shows_the_newest_signals(house: HouseUnderTest, serve: Serve) -> None:
    house.configure(THREE)
    came(house, FAMILIAR)
    serve()
    came(house, STRANGE)
    measured(house)
    shown = json.loads(run(house, "--json").stdout)
    assert [(one["site"], one["signal"]) for one in shown] == [("seoul", "fertility"), ("seoul", "unknown-pieces")]
    unknown = shown[1]
    assert (unknown["value"], unknown["reference"], unknown["exceeded"]) == (1.0, 0.0, True)
    said = run(house).output
    assert "2 of 2 signals exceed their thresholds" in said
    assert "made these 2 signals. The next is due" in said
    assert not any(word in said for one in STRANGE for word in one.split()), "no report text"


def test_the_command_says_why_there_is_nothing(house: HouseUnderTest, serve: Serve) -> None:
    measured(house)
    assert "had nothing to measure by: no model serves" in run(house).output
    serve()
    measured(house)
    assert "found no site with 100 new reports" in run(house).output
