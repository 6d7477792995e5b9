"""A report that makes the model fail: it is found among its 63 neighbours and set aside, with nothing said of it."""

from stage import RAISES, Stage, texts

SECRET = "낭종이 의심됨"


def test_one_of_64_raises(stage: Stage, serve):
    serve()
    stage.processes.start("scheduler")
    stage.processes.start("label")
    stage.receive({**texts(40), "poison": f"{SECRET} {RAISES}", **texts(23, start=40)}, job_size=64)
    assert stage.all_done() == {"received": 64, "labelled": 63, "dead": 1, "withdrawn": 0}
    [(source_id, reason, tries)] = stage.rows(
        "SELECT r.source_id, d.reason, d.attempts FROM dead_letters d JOIN report r ON r.id = d.report_id"
    )
    assert source_id == "poison"
    assert reason.startswith("ValueError at staged_worker.py:")
    assert tries == 1
    # Three tries of the whole, then halves of one try each: 64, 32, 16, 8, 4, 2.
    split = "SELECT cardinality(report_ids), attempts FROM job WHERE outcome ? 'split' ORDER BY id"
    assert stage.rows(split) == [(64, 3), (32, 1), (16, 1), (8, 1), (4, 1), (2, 1)]
    everything = stage.value("SELECT string_agg(job::text, '') FROM job") + stage.processes.said("label")
    assert SECRET not in everything and RAISES not in everything

    serve()  # to the next model it may be no poison; here it is, and is set aside again
    assert stage.all_done() == {"received": 64, "labelled": 63, "dead": 1, "withdrawn": 0}
