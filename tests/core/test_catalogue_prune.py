"""Pruning deletes what ended long ago and nothing else; tags are kept with the run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from core.catalogue_lab import DAY, make_run

from daisy_core import ParameterError
from daisy_core.catalogue import Pruned, add_tag, prune, read_tags, remove_tag
from daisy_core.catalogue.times import parse_age, parse_time, show_bytes


def _tagged(path: Path, *names: str) -> Path:
    for name in names:
        add_tag(path, name)
    old = (path / "events.jsonl").stat().st_mtime
    os.utime(path, (old, old))
    os.utime(path / "tags.json", (old, old))
    return path


def _left(root: Path) -> set[int]:
    return {int(path.name[-6:], 16) for path in root.iterdir()}


def test_old_ended_runs_are_deleted_and_their_bytes_told(tmp_path: Path) -> None:
    old = make_run(tmp_path, number=1, age=100 * DAY)
    (old / "tasks").mkdir()
    (old / "tasks" / "big").write_bytes(b"x" * 5000)
    for path in (old / "tasks", old):
        os.utime(path, (time.time() - 100 * DAY,) * 2)
    size = sum(path.stat().st_size for path in old.rglob("*") if path.is_file())
    make_run(tmp_path, "failed", number=2, age=95 * DAY)
    make_run(tmp_path, "cancelled", number=3, age=91 * DAY)
    make_run(tmp_path, number=4, age=89 * DAY)
    would, _ = prune(tmp_path, older="90d", dry_run=True)
    assert _left(tmp_path) == {1, 2, 3, 4}
    deleted, kept = prune(tmp_path, older="90d")
    assert [int(item.record.id[-6:]) for item in deleted] == [1, 2, 3]
    assert [item.nbytes for item in deleted] == [item.nbytes for item in would]
    assert deleted[0].nbytes == size
    assert 99 < deleted[0].age / DAY < 101
    assert kept == []
    assert _left(tmp_path) == {4}


def test_runs_that_go_on_or_wait_are_kept_however_old(tmp_path: Path) -> None:
    make_run(tmp_path, "pending", number=1, age=200 * DAY)
    running = make_run(tmp_path, "running", number=2, age=200 * DAY)
    mine = {"host": os.uname().nodename, "pid": os.getpid(), "started": None, "heartbeat": 0.0}
    (running / "lease.json").write_text(json.dumps(mine))
    for path in (running / "lease.json", running):
        os.utime(path, (time.time() - 200 * DAY,) * 2)
    lost = make_run(tmp_path, "running", number=3, age=200 * DAY)
    (lost / "lease.json").write_text(json.dumps({**mine, "host": "elsewhere"}))
    for path in (lost / "lease.json", lost):
        os.utime(path, (time.time() - 200 * DAY,) * 2)
    deleted, kept = prune(tmp_path, older="90d")
    assert {item.reason for item in kept} == {"it is pending", "it is running"}
    assert [item.record.state for item in deleted] == ["lost"]
    assert _left(tmp_path) == {1, 2}


def test_a_young_lease_keeps_a_lost_run(tmp_path: Path) -> None:
    lost = make_run(tmp_path, "running", age=200 * DAY)
    (lost / "lease.json").write_text(json.dumps({"host": "elsewhere", "pid": 1, "started": 1.0, "heartbeat": 0.0}))
    assert prune(tmp_path, older="90d") == ([], [])


def test_tagged_runs_are_kept_where_asked(tmp_path: Path) -> None:
    _tagged(make_run(tmp_path, number=1, age=100 * DAY), "paper", "figure 2")
    make_run(tmp_path, number=2, age=100 * DAY)
    deleted, kept = prune(tmp_path, older="90d", keep_tagged=True)
    assert [item.reason for item in kept] == ["it is tagged figure 2, paper"]
    assert len(deleted) == 1
    assert len(prune(tmp_path, older="90d")[0]) == 1
    assert _left(tmp_path) == set()


@pytest.mark.parametrize("at", [100.0, time.time() + 30 * DAY])
def test_times_of_a_clock_that_jumped_delete_nothing(tmp_path: Path, at: float) -> None:
    make_run(tmp_path, at=at)
    for older in ("0s", "90d"):
        deleted, kept = prune(tmp_path, older=older)
        assert deleted == []
        assert "its age is not known" in kept[0].reason


def test_a_clock_that_is_behind_deletes_nothing(tmp_path: Path) -> None:
    make_run(tmp_path, age=100 * DAY)
    for now in (0.0, time.time() - 300 * DAY):
        assert prune(tmp_path, older="1d", now=now)[0] == []
    assert len(prune(tmp_path, older="1d")[0]) == 1


def test_the_latest_time_counts_for_the_age(tmp_path: Path) -> None:
    path = make_run(tmp_path, age=100 * DAY, took=98 * DAY)
    assert prune(tmp_path, older="90d") == ([], [])
    (path / "results.nxs").touch()
    assert prune(tmp_path, older="1d") == ([], [])


def test_what_is_not_understood_or_no_run_is_never_deleted(tmp_path: Path) -> None:
    newer = make_run(tmp_path, number=1, age=100 * DAY)
    request = json.loads((newer / "request.json").read_text())
    (newer / "request.json").write_text(json.dumps({**request, "format": 2}))
    damaged = make_run(tmp_path, number=2, age=100 * DAY)
    (damaged / "request.json").write_text("{")
    for path in (newer, damaged):
        for item in (path / "request.json", path):
            os.utime(item, (time.time() - 100 * DAY,) * 2)
    elsewhere = make_run(tmp_path / "elsewhere", number=3, age=100 * DAY)
    (tmp_path / elsewhere.name).symlink_to(elsewhere)
    (tmp_path / "notes").mkdir()
    deleted, kept = prune(tmp_path, older="1d")
    assert deleted == []
    assert len(kept) == 3
    assert {word for item in kept for word in ("newer version", "damaged", "a link") if word in item.reason} == {
        "newer version", "damaged", "a link",
    }  # fmt: skip
    assert (elsewhere / "request.json").is_file()
    assert prune(tmp_path / "nowhere", older="1d") == ([], [])


def test_links_in_a_run_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "raw.h5").write_bytes(b"x" * 100_000)
    path = make_run(tmp_path / "runs", age=100 * DAY)
    (path / "raw").symlink_to(tmp_path / "data")
    os.utime(path, (time.time() - 100 * DAY,) * 2)
    ((item,), _) = prune(tmp_path / "runs", older="1d")
    assert isinstance(item, Pruned)
    assert item.nbytes < 10_000
    assert (tmp_path / "data" / "raw.h5").is_file()


def test_a_pruning_that_was_stopped_is_finished_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_run(tmp_path, age=100 * DAY)
    path.rename(tmp_path / f".pruned-{path.name}-abcdef")
    prune(tmp_path, older="1d")
    assert len(list(tmp_path.iterdir())) == 1  # it may be another process's, just now
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 2 * 3600)
    prune(tmp_path, older="1d")
    assert list(tmp_path.iterdir()) == []


def test_a_run_resumed_meanwhile_is_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_run(tmp_path, "failed", age=100 * DAY)
    rename = os.rename

    def resumed(source: Path, target: Path) -> None:
        with (Path(source) / "events.jsonl").open("a") as events:
            events.write(json.dumps({"time": time.time(), "kind": "running", "task": None}) + "\n")
        monkeypatch.undo()
        rename(source, target)

    monkeypatch.setattr(os, "rename", resumed)
    deleted, kept = prune(tmp_path, older="1d")
    assert deleted == []
    assert [item.reason for item in kept] == ["it is running"]
    assert (path / "request.json").is_file()


# -- tags and times -------------------------------------------------------------------------------------------------


def test_tags_are_kept_in_the_folder(tmp_path: Path) -> None:
    path = make_run(tmp_path)
    assert read_tags(path) == ()
    assert add_tag(path, "paper") == ("paper",)
    assert add_tag(path, " Abb. 3 ü ") == ("Abb. 3 ü", "paper")
    assert add_tag(path, "paper") == ("Abb. 3 ü", "paper")
    assert json.loads((path / "tags.json").read_text(encoding="utf-8")) == ["Abb. 3 ü", "paper"]
    assert remove_tag(path, "Abb. 3 ü") == ("paper",)
    with pytest.raises(ParameterError, match="has no tag 'x'; it has: paper"):
        remove_tag(path, "x")
    for name in ("", "  ", "a\nb", "x" * 65):
        with pytest.raises(ParameterError, match="cannot be a tag"):
            add_tag(path, name)
    (path / "tags.json").write_text("{damaged")
    assert read_tags(path) == ()


def test_tags_given_at_once_are_all_kept(tmp_path: Path) -> None:
    path = make_run(tmp_path)
    threads = [threading.Thread(target=add_tag, args=(path, f"tag {number}")) for number in range(20)]
    code = "import sys; from pathlib import Path; from daisy_core.catalogue import add_tag\n"
    code += "for n in range(20): add_tag(Path(sys.argv[1]), f'other {n}')"
    other = subprocess.Popen([sys.executable, "-c", code, str(path)])
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert other.wait(30) == 0
    assert len(read_tags(path)) == 40


def test_ages_have_units_and_times_are_dates_or_ages() -> None:
    assert parse_age("90d") == 90 * DAY
    assert parse_age(" 1.5 h ") == 5400
    assert parse_time("2d", now=3 * DAY) == DAY
    assert parse_time("2026-01-02T00:00:00+00:00") == 1767312000
    for text in ("90", "d", "-3d", "3 months", "", "1e3d", "٣d"):
        with pytest.raises(ParameterError, match="is not an age"):
            parse_age(text)
    for text in ("tomorrow", "", "99999-01-01", "2026-13-01"):
        with pytest.raises(ParameterError, match="is not a time"):
            parse_time(text)
    assert [show_bytes(count) for count in (0, 999, 1500, 2.5e9, 3e15)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "2.5 GB",
        "3000.0 TB",
    ]
