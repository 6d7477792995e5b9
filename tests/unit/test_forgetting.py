"""The benchmark's stream, its formulas, and its verdict; the models themselves are elsewhere."""

import json
from itertools import combinations
from pathlib import Path

import forgetting
import forgetting_stream
import forgetting_table as table
import pytest
from forgetting_cells import Bench
from forgetting_stream import Sizes
from forgetting_table import NAIVE, Run

from pipeline.settings import RefreshSettings

NOWHERE = Path("no-real-data-here")
# After the foundation and three refreshes; the second period was at its best right after it was learnt, the first
# after the first refresh.
BITS = [[2.0, 7.0, 7.0, 7.0], [1.9, 2.5, 6.0, 6.0], [2.6, 3.0, 2.0, 4.0], [3.0, 3.5, 1.5, 2.0]]


def run(bits: list[list[float]], *, seconds: float = 10.0) -> Run:
    return Run(bits, [{"Korean": 0.3}] * len(bits), {"later": 0.5}, 2_000, 1_000, seconds)


def test_forgetting_is_what_the_end_lacks_to_the_best_since_a_period_was_learnt() -> None:
    assert table.forgotten(BITS) == pytest.approx([3.0 - 1.9, 3.5 - 2.5, 1.5 - 2.0])
    assert table.backward_transfer(BITS) == pytest.approx(((2 - 3) + (2.5 - 3.5) + (2 - 1.5)) / 3)
    assert table.learnt(BITS) == 5.0


def test_what_is_better_than_ever_is_not_forgotten() -> None:
    better = [[2.0, 7.0], [1.8, 3.0]]
    assert table.forgotten(better) == pytest.approx([-0.2])
    assert table.forgotten([[2.0, 7.0], [2.2, 3.0]]) == pytest.approx([0.2])


def test_an_arm_beside_naive() -> None:
    naive, half = [[2.0, 7.0], [3.0, 3.0]], [[2.0, 7.0], [2.5, 3.4]]
    first, second, third = table.summarize(
        {NAIVE: [run(naive)], "half": [run(half, seconds=15)], "best": [run([[2.0, 7.0], [1.9, 2.0]])]}
    )
    assert (first.forgetting_vs_naive, first.learning_vs_naive, first.cost_vs_naive) == (1.0, 1.0, 1.0)
    assert second.forgetting_vs_naive == pytest.approx(0.5)
    assert second.learning_vs_naive == pytest.approx(0.9)
    assert second.cost_vs_naive == pytest.approx(1.5)
    assert third.forgetting_vs_naive == third.floored_vs_naive == 0.0
    assert third.forgetting == pytest.approx(-0.1)
    assert third.learning_vs_naive > 1


def test_an_arm_of_fewer_seeds_stands_beside_naive_of_the_same() -> None:
    easy, hard = [[2.0, 7.0], [3.0, 3.0]], [[2.0, 7.0], [9.0, 3.0]]
    _, ours = table.summarize({NAIVE: [run(easy), run(hard)], "once": [run([[2.0, 7.0], [2.5, 3.0]])]})
    assert ours.forgetting_vs_naive == pytest.approx(0.5)


def test_one_period_that_gained_does_not_hide_another_that_lost_from_the_stricter_figure() -> None:
    naive = [[2.0, 7.0, 7.0], [2.0, 2.0, 7.0], [3.0, 3.0, 2.0]]
    mixed = [[2.0, 7.0, 7.0], [2.0, 2.0, 7.0], [1.5, 2.5, 2.0]]
    _, ours = table.summarize({NAIVE: [run(naive)], "mixed": [run(mixed)]})
    assert ours.forgetting_vs_naive == 0.0
    assert ours.floored_vs_naive == pytest.approx(0.25)


@pytest.mark.parametrize("scale", forgetting.SCALES.values(), ids=forgetting.SCALES)
def test_every_cell_comes_after_what_it_needs_and_the_default_is_among_them(scale: forgetting.Scale) -> None:
    done: set[str] = set()
    for cell in forgetting.plan(scale, (0, 1)):
        assert cell.name not in done
        assert done.issuperset(cell.needs)
        done.add(cell.name)
    assert len(done) == 2 + 2 * (1 + len(scale.arms))
    assert {NAIVE, forgetting.DEFAULT} <= set(scale.arms)


def test_without_real_data_there_are_four_periods_all_the_same() -> None:
    stages = forgetting_stream.stream(NOWHERE, Sizes(real=0, made_up=30, annotated=5, judged=20))
    assert [stage.name for stage in stages] == list(forgetting_stream.NAMES)
    assert len(stages[0].texts) > 1_000
    assert set(stages[2].learnt) == {"B, korean", "B, mixed"}
    assert stages[0].judged is None
    assert all(stage.judged and stage.judged.truth.shape == (20, 18) for stage in stages[1:])


def test_what_is_held_out_is_learnt_in_no_period() -> None:
    stages = forgetting_stream.stream(NOWHERE, Sizes(real=0, made_up=30, annotated=20, judged=20))
    learnt = {text for stage in stages for text in stage.texts}
    held_out = {text for stage in stages for texts in stage.held_out.values() for text in texts}
    assert held_out
    assert not learnt & held_out
    for one, other in combinations(stages, 2):
        assert not set(one.texts) & set(other.texts)


def test_the_buffer_keeps_a_share_of_every_stratum_whatever_the_order() -> None:
    learnt = {"a": [f"a{number}" for number in range(100)], "b": [f"b{number}" for number in range(20)]}
    kept = forgetting_stream.kept(learnt, 0.1)
    assert {name: len(texts) for name, texts in kept.items()} == {"a": 10, "b": 2}
    assert forgetting_stream.kept({name: texts[::-1] for name, texts in learnt.items()}, 0.1) == kept
    assert set(forgetting_stream.kept({"a": learnt["a"][:50]}, 1.0)["a"][:2]) <= set(learnt["a"][:50])


def test_a_report_from_cells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cells").mkdir()
    default = [[2.0, 7.0, 7.0, 7.0], [2.0, 2.5, 6.0, 6.0], [2.0, 2.5, 2.0, 4.0], [2.1, 2.6, 1.5, 2.0]]
    for arm, bits in ((NAIVE, BITS), (forgetting.DEFAULT, default)):
        stages = [{"bits": row, "similarity": {}, "tokens": 10, "new_tokens": 9} for row in bits]
        for seed in (0, 1):
            (tmp_path / "cells" / f"{arm}-{seed}.json").write_text(json.dumps({"stages": stages, "f1": {}}))
    cost = {"seconds_per_new_token": {NAIVE: 1.0, forgetting.DEFAULT: 1.4}}
    (tmp_path / "cells" / "cost.json").write_text(json.dumps(cost))
    figures = forgetting.report(Bench(forgetting.SCALES["quick"], tmp_path, NOWHERE), (0, 1))
    assert figures["forgetting_vs_naive"] == 0.0  # worse in two periods, better by more in the third
    assert figures["floored_vs_naive"] == pytest.approx(0.2 / 2.1, abs=1e-4)
    assert figures["naive_forgetting"] == pytest.approx(1.6 / 3, abs=1e-4)
    assert figures["cost_vs_naive"] == pytest.approx(1.4)
    assert "| default | -0.100 | 0.000" in capsys.readouterr().out
    assert (tmp_path / "forgetting.png").stat().st_size > 10_000
    assert len((tmp_path / "forgetting.csv").read_text().splitlines()) == 1 + 2 * 2 * (16 + 3)


def test_the_settings_defaults_are_the_default_of_the_table() -> None:
    arm, ours = forgetting.ARMS[forgetting.DEFAULT], RefreshSettings()
    assert (ours.replay_fraction, ours.replay_masked, ours.distillation) == (
        arm.fraction,
        arm.masked,
        arm.distillation,
    )
