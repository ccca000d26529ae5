"""The runs of a grid: kept, resumed to the same bits, taken up again after a loss, one's failure no other's."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from incrlearn import OutputError, Registry
from incrlearn.ablation.execution import make_job, run_cells
from incrlearn.ablation.executors import processes
from incrlearn.ablation.executors.base import Handle
from incrlearn.ablation.executors.here import Done, Here
from incrlearn.ablation.executors.processes import Processes, share_devices
from incrlearn.ablation.grid import Cell
from incrlearn.ablation.job import Job, Outcome
from incrlearn.ablation.pool import Pool
from incrlearn.engine.record import read_record
from incrlearn.engine.rundir import hold_run_dir
from incrlearn.recipe import load_recipe


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny networks: threads that wait for one another on a busy machine would take minutes."""
    monkeypatch.setattr(processes, "usable_cores", lambda: 1)


def cell_of(tiny: Path, name: str = "base", *overrides: str) -> Cell:
    return Cell(name, load_recipe(tiny, Registry.discover(), overrides))


def pool_at(folder: Path) -> Pool:
    return Pool(folder, Registry.discover())


@dataclass
class Scripted:
    """An engine whose jobs end as they are told to, so that what it is asked for can be counted."""

    end: Callable[[Job], Outcome]
    slots: int = 1
    taken: list[str] = field(default_factory=list)
    is_closed: bool = False

    def submit(self, job: Job, slot: int) -> Handle:
        self.taken.append(job.fingerprint)
        end = self.end

        class Ending(Done):
            def outcome(self) -> Outcome:
                return end(job)

        return Ending(Outcome())

    def close(self) -> None:
        self.is_closed = True


def lose(job: Job) -> Outcome:
    raise RuntimeError("gone\nand more")


def test_a_run_whose_worker_is_lost_three_times_is_given_up(tiny: Path) -> None:
    engine = Scripted(lose)
    events = list(run_cells([cell_of(tiny)], pool_at(tiny.parent / "pool"), None, engine))
    assert [event.kind for event in events] == ["started", "lost", "started", "lost", "started", "failed"]
    assert "lost 3 times" in events[-1].message
    assert "gone" in events[-1].message
    assert "and more" not in events[-1].message
    assert engine.is_closed


def test_a_failure_does_not_stop_the_others(tiny: Path) -> None:
    cells = [cell_of(tiny, "a"), cell_of(tiny, "b", "plugins.train.lr=0.01")]
    engine = Scripted(lambda job: Outcome("no" if job.fingerprint == cells[0].recipe.fingerprint else None))
    events = list(run_cells(cells, pool_at(tiny.parent), None, engine))
    assert [(e.kind, e.cell.variant) for e in events if e.kind != "started"] == [("failed", "a"), ("done", "b")]


def test_a_job_that_the_engine_does_not_take_fails_alone(tiny: Path) -> None:
    class Refusing(Scripted):
        def submit(self, job: Job, slot: int) -> Handle:
            if not self.taken:
                self.taken.append(job.fingerprint)
                raise ConnectionError("nobody answers")
            return super().submit(job, slot)

    cells = [cell_of(tiny, "a"), cell_of(tiny, "b", "plugins.train.lr=0.01")]
    events = list(run_cells(cells, pool_at(tiny.parent), None, Refusing(lambda job: Outcome())))
    assert [(e.kind, e.cell.variant) for e in events if e.kind != "started"] == [("failed", "a"), ("done", "b")]
    assert "ConnectionError: nobody answers" in events[1].message


def test_the_engine_is_closed_when_nobody_listens_any_more(tiny: Path) -> None:
    engine = Scripted(lambda job: Outcome())
    events = run_cells([cell_of(tiny)], pool_at(tiny.parent), None, engine)
    next(events)
    events.close()
    assert engine.is_closed


def test_an_interrupted_run_goes_on_to_the_same_bits(tiny: Path) -> None:
    cell, whole, broken = cell_of(tiny), pool_at(tiny.parent / "whole"), pool_at(tiny.parent / "broken")
    list(run_cells([cell], whole, None, Here("cpu")))
    engine = Here("cpu")
    assert broken.state(cell) == "not run"
    list(run_cells([cell], broken, None, engine))
    run_dir = broken.run_dir(cell)
    (run_dir / "result.json").unlink()
    last = run_dir / "checkpoints" / "task_02"
    for file in last.iterdir():
        file.unlink()
    last.rmdir()
    assert broken.state(cell) == "interrupted"
    assert [event.kind for event in run_cells([cell], broken, None, engine)] == ["started", "done"]
    both = [read_record(pool.run_dir(cell)) for pool in (whole, broken)]
    assert both[0].summary["accuracy_matrix"] == both[1].summary["accuracy_matrix"]
    assert broken.finished([cell])[cell.key].metric("last") == both[0].metric("last")
    damaged = run_dir / "result.json"
    for text, words in [
        ('{"format": 99}', "format 99"),
        ('{"format": 1}', "damaged, recipe, fingerprint"),
    ]:
        damaged.write_text(text)
        with pytest.raises(OutputError, match=words):
            broken.finished([cell])


def test_a_run_that_another_process_trains_is_refused(tiny: Path) -> None:
    cell = cell_of(tiny)
    run_dir = pool_at(tiny.parent).run_dir(cell)
    run_dir.mkdir()
    (run_dir / "recipe.yaml").write_text(cell.recipe.to_yaml())
    with hold_run_dir(run_dir):
        *_, event = run_cells([cell], pool_at(tiny.parent), None, Processes(["cpu"]))
    assert event.kind == "failed"
    assert "another process is training this run" in event.message


def test_a_killed_worker_is_replaced_and_its_run_goes_on(tiny: Path) -> None:
    cell = cell_of(tiny, "base", "plugins.train.epochs=10", "data.tasks=3")
    engine = Processes(["cpu"])
    handle = engine.submit(make_job(pool_at(tiny.parent), cell, None), 0)
    first = pool_at(tiny.parent).run_dir(cell) / "checkpoints" / "task_01"
    while not first.is_dir() and not handle.is_done():
        time.sleep(0.02)
    (worker,) = engine._pools[0]._processes
    os.kill(worker, signal.SIGKILL)
    while not handle.is_done():
        time.sleep(0.02)
    with pytest.raises(RuntimeError):
        handle.outcome()
    events = [event.kind for event in run_cells([cell], pool_at(tiny.parent), None, engine)]
    assert events == ["started", "done"]
    assert first.is_dir()


def test_slots_share_the_devices() -> None:
    assert share_devices("cpu", 3) == ["cpu"] * 3
