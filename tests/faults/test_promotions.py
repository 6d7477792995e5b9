"""Models promoted and rolled back, again and again, while workers read: no job ever sees half of each."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import invariants
import pytest
from stage import RAISES, Stage, texts

from pipeline import model_versions
from pipeline.labelling import LabelRules
from pipeline.model_versions import NotRolledBack

RULES = LabelRules(reports=8, attempts=2)
CHANGES = 12  # by each of two people


@dataclass
class Watcher:
    """Looks at what must hold at every moment, over and over; `stale` counts the looks that saw stale labels."""

    stage: Stage
    wrong: Counter[str] = field(default_factory=Counter)
    looks: int = 0
    stale: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def look(self) -> None:
        while not self.over.wait(0.05):
            for name, query in invariants.AT_EVERY_MOMENT.items():
                if rows := self.stage.rows(query):
                    self.wrong[f"{name}: {rows[:3]}"] += 1
            self.looks += 1
            self.stale += bool(self.stage.value("SELECT count(*) FROM report_labels WHERE stale"))


def change(stage: Stage, versions: list[int], chance: random.Random) -> None:
    """Promotions and rollbacks, each once the workers have written something since the one before."""
    for _ in range(CHANGES):
        before = stage.value("SELECT count(*) FROM classification")
        with stage.house.sessions.begin() as session:
            if chance.random() < 0.4:
                try:
                    model_versions.rollback(session, by="test@here", rules=RULES)
                except NotRolledBack:
                    continue
            else:
                model_versions.promote(session, chance.choice(versions), by="test@here", rules=RULES)
        stage.until(
            lambda before=before: (  # type: ignore[misc]
                stage.value("SELECT count(*) FROM classification") > before
                or not stage.value("SELECT count(*) FROM job WHERE state IN ('ready', 'running')")
            ),
            "labels being written, or none to write",
        )


def in_background(failures: list[BaseException], work: Callable[[], None]) -> threading.Thread:
    def guarded() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - a thread's failure must fail the test
            failures.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    return thread


def test_no_job_and_no_view_ever_sees_half_of_two_models(stage: Stage, serve) -> None:
    # All labels are positive by the first, none by the second, and some by the third.
    versions = [serve(threshold=0.001), serve(threshold=0.999)]
    stage.processes.start("scheduler")
    stage.processes.start("label", label_workers=2)
    postgres_log = stage.house.home / "servers" / "postgres.log"
    logged, said = len(postgres_log.read_bytes()), len(stage.processes.said("label"))
    stage.receive(texts(60), job_size=8)
    stage.until(lambda: stage.value("SELECT count(*) FROM classification") > 8, "the first labels")
    middle = "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY p) FROM classification, unnest(probabilities) AS p"
    versions.append(serve(threshold=stage.value(middle)))

    failures: list[BaseException] = []
    watcher = Watcher(stage)
    watching = in_background(failures, watcher.look)
    changing = [
        in_background(failures, lambda seed=seed: change(stage, versions, random.Random(seed)))  # type: ignore[misc]
        for seed in (1, 2)
    ]
    for start in range(60, 240, 30):  # reports come in all the while, and one that no model can read
        stage.receive({**texts(30, start=start), **({"poison": RAISES} if start == 120 else {})}, job_size=8)
        stage.until(
            lambda start=start: stage.value("SELECT count(*) FROM classification") > start,  # type: ignore[misc]
            "labels being written",
        )
    for thread in changing:
        thread.join()
    with stage.house.sessions.begin() as session:
        model_versions.promote(session, versions[2], by="test@here", rules=RULES)
    counted = stage.all_done()
    watcher.over.set()
    watching.join()

    assert not failures, failures
    assert not watcher.wrong, watcher.wrong
    assert watcher.stale > 3, f"of {watcher.looks} looks too few came while labels were stale to tell anything"
    assert counted == {"received": 241, "labelled": 240, "dead": 1, "withdrawn": 0}
    kinds = stage.rows("SELECT kind, count(*) FROM event WHERE kind IN ('ModelPromoted', 'ModelWithdrawn') GROUP BY 1")
    assert len(kinds) == 2, kinds
    assert stage.value("SELECT count(DISTINCT model_version_id) FROM classification") == 3
    assert b"deadlock" not in postgres_log.read_bytes()[logged:]
    label_log = stage.processes.said("label")[said:]
    assert "40P01" not in label_log
    assert "waits:" not in label_log, "no change of models is a failure of the environment"


@pytest.mark.parametrize("point", ["predicting", "predicted", "finishing", "committed"])
def test_a_rollback_while_a_job_is_at_work(stage: Stage, serve, point: str) -> None:
    first, second = serve(), serve(threshold=0.5)
    stage.processes.start("scheduler")
    stage.processes.start("label")
    stage.hold(point)
    stage.receive(texts(8), job_size=4)
    stage.held(point)
    rollback = threading.Thread(target=lambda: roll_back(stage))
    rollback.start()
    if point == "finishing":
        blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'"
        stage.until(lambda: stage.value(blocked), "the rollback waiting for the labels to be written")
    else:
        rollback.join()
    stage.release(point)
    rollback.join()
    assert stage.all_done()["labelled"] == 8
    assert stage.rows("SELECT DISTINCT model_version, stale FROM report_labels") == [(first, False)]
    by_model = dict(stage.rows("SELECT model_version_id, count(*) FROM classification GROUP BY 1"))
    assert by_model[first] == 8
    # What the withdrawn one said of the job in hand stays as history, and of one claimed before the rollback's turn.
    assert by_model[second] in ({4, 8} if point == "finishing" else {4})


def roll_back(stage: Stage) -> None:
    with stage.house.sessions.begin() as session:
        model_versions.rollback(session, by="test@here", rules=RULES)


def test_a_poison_report_is_given_up_only_for_the_model_that_serves(stage: Stage, serve) -> None:
    first = serve()
    stage.processes.start("scheduler")
    stage.processes.start("label")
    stage.receive({"poison": RAISES}, attempts=1)
    assert stage.all_done()["dead"] == 1
    second = serve()
    assert stage.all_done()["dead"] == 1
    stage.hold("predicting")
    third = serve()
    stage.held("predicting")
    roll_back(stage)  # while the third is at it: what it cannot read is not given up for the second
    stage.release("predicting")
    assert stage.all_done()["dead"] == 1
    tried = Counter(model for (model,) in stage.rows("SELECT model_version_id FROM job_failure"))
    assert tried == {first: 1, second: 3, third: 1}, "nobody read again what it had given up before"
    given_up = stage.rows("SELECT model_version_id FROM job WHERE state = 'dead' ORDER BY id")
    assert [model for (model,) in given_up] == [first, second]
