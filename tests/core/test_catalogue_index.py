"""The catalogue is an index of the folders: never wrong for long, never lost, shared by several processes."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from core.catalogue_lab import DAY, make_run, write_events

from daisy_core import DaisyError, ParameterError, RunError, WorkflowEngine
from daisy_core.catalogue import Catalogue, add_tag, read_record
from daisy_core.catalogue.tables import on_network

NOBODY = 65534


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("DAISY_CATALOGUE", raising=False)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server of our own."""
    found = [shutil.which("initdb"), *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")))]
    programs = next((Path(item).resolve().parent for item in found if item), None)
    if programs is None:
        reason = "PostgreSQL is not installed (Debian: postgresql)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="daisy-pg-"))
    owner: dict[str, Any] = {}
    if os.geteuid() == 0:  # the server refuses to be root
        shutil.chown(folder, "postgres")
        owner = {"user": "postgres", "cwd": folder}
    quiet: dict[str, Any] = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **owner}
    subprocess.run(
        [programs / "initdb", "-D", folder / "data", "-A", "trust", "-U", "daisy", "-E", "UTF8", "--no-sync"], **quiet
    )
    options = f"-F -k {folder} -c listen_addresses= -c max_connections=40"
    subprocess.run(
        [programs / "pg_ctl", "-D", folder / "data", "-w", "-l", folder / "log", "-o", options, "start"], **quiet
    )
    try:
        yield f"postgresql://daisy@/postgres?host={folder}"
    finally:
        subprocess.run([programs / "pg_ctl", "-D", folder / "data", "-m", "immediate", "stop"], **quiet)
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database that is named: an SQLite file, then PostgreSQL."""
    return str(tmp_path / "db" / "named.sqlite") if request.param == "sqlite" else request.getfixturevalue("postgres")


@contextmanager
def _read_only(root: Path) -> Iterator[None]:
    """Take the right to write in a folder away from this process; root takes off its rights for a while."""
    for path in (root, *root.parents):
        if path == Path("/tmp"):
            break
        path.chmod(0o755)
    root.chmod(0o555)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        root.chmod(0o755)


@pytest.fixture
def open_root() -> Iterator[Path]:
    """A folder that every user may enter (pytest's own are closed to others)."""
    folder = Path(tempfile.mkdtemp(prefix="daisy-runs-"))
    folder.chmod(0o755)
    yield folder / "runs"
    shutil.rmtree(folder)


def _ids(catalogue: Catalogue, **conditions: Any) -> list[int]:
    return [int(record.id[-6:], 16) for record in catalogue.query(**conditions)]


# -- what it tells --------------------------------------------------------------------------------------------------


def test_a_record_has_what_the_folder_says(tmp_path: Path) -> None:
    path = make_run(tmp_path, "failed", age=DAY, context={"sample": "Ni", "scan": 3}, message="no spots", took=1.5)
    add_tag(path, "paper")
    (record,) = Catalogue(tmp_path).query()
    assert record == read_record(path)
    assert (record.state, record.app, record.workflow, record.message) == ("failed", "mx", "mx.process", "no spots")
    assert record.context == {"sample": "Ni", "scan": 3}
    assert record.tags == ("paper",)
    assert record.seconds == 1.5
    assert record.path == path


def test_runs_come_newest_first_and_by_app_state_time_and_tag(tmp_path: Path) -> None:
    make_run(tmp_path, number=1, age=3 * DAY)
    make_run(tmp_path, "failed", number=2, age=2 * DAY)
    add_tag(make_run(tmp_path, number=3, age=DAY, workflow="pdf.reduce"), "paper")
    catalogue = Catalogue(tmp_path)
    assert _ids(catalogue) == [3, 2, 1]
    assert _ids(catalogue, limit=2) == [3, 2]
    assert _ids(catalogue, app="mx") == [2, 1]
    assert _ids(catalogue, workflow="pdf.reduce") == [3]
    assert _ids(catalogue, state="failed") == [2]
    assert _ids(catalogue, since="60h") == [3, 2]
    assert _ids(catalogue, since=time.time() - 2.5 * DAY) == [3, 2]
    assert _ids(catalogue, tag="paper") == [3]
    assert _ids(catalogue, where="'paper' in tags") == [3]
    assert _ids(catalogue, where="'paper' not in tags") == [2, 1]
    with pytest.raises(ParameterError, match="is not a time"):
        catalogue.query(since="last week")


def test_the_columns_are_there_for_other_programs(tmp_path: Path) -> None:
    make_run(
        tmp_path, context={"proposal": "P1", "sample": "Ni", "scan": 3, "beamline": "B2", "user": "ada", "oven": "new"}
    )
    Catalogue(tmp_path).query()
    with sqlite3.connect(tmp_path / "catalogue.sqlite") as database:
        row = database.execute('SELECT proposal, sample, scan, beamline, "user", context FROM daisy_runs_1').fetchone()
        mode = database.execute("PRAGMA journal_mode").fetchone()
    database.close()
    assert row[:5] == ("P1", "Ni", "3", "B2", "ada")
    assert json.loads(row[5])["oven"] == "new"
    assert mode == ("wal",)


def test_new_changed_and_deleted_folders_are_noticed(tmp_path: Path) -> None:
    first = make_run(tmp_path, "running", number=1, age=9)
    catalogue = Catalogue(tmp_path)
    assert [record.state for record in catalogue.query()] == ["running"]
    write_events(first, [{"time": time.time(), "kind": "succeeded", "task": None, "summary": {"rmeas": 0.2}}])
    make_run(tmp_path, number=2)
    assert _ids(catalogue, where="rmeas == 0.2") == [1]
    add_tag(first, "new")
    assert _ids(catalogue, tag="new") == [1]
    shutil.rmtree(first)
    assert _ids(catalogue) == [2]


def test_settled_runs_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(tmp_path, number=1, age=DAY)
    make_run(tmp_path, "running", number=2, age=DAY)
    Catalogue(tmp_path).query()
    read: list[str] = []
    monkeypatch.setattr(
        "daisy_core.catalogue.index.read_record", lambda path: read.append(path.name) or read_record(path)
    )
    Catalogue(tmp_path).query()
    assert [int(run_id[-6:], 16) for run_id in read] == [2]


def test_a_run_whose_process_is_gone_is_lost_and_comes_back_when_resumed(tmp_path: Path) -> None:
    path = make_run(tmp_path, "running", age=DAY)
    (path / "lease.json").write_text(
        json.dumps({"host": "elsewhere", "pid": 1, "started": 1.0, "heartbeat": time.time() - 60})
    )
    catalogue = Catalogue(tmp_path)
    assert [record.state for record in catalogue.query()] == ["lost"]
    assert [record.state for record in catalogue.query(state="lost")] == ["lost"]
    (path / "lease.json").write_text(
        json.dumps({"host": "elsewhere", "pid": 1, "started": 1.0, "heartbeat": time.time() + 60})
    )
    os.utime(path)
    assert [record.state for record in catalogue.query()] == ["running"]


def test_a_folder_of_runs_can_be_moved(tmp_path: Path) -> None:
    make_run(tmp_path / "here")
    Catalogue(tmp_path / "here").query()
    (tmp_path / "here").rename(tmp_path / "there")
    (record,) = Catalogue(tmp_path / "there").query()
    assert record.path.parent == tmp_path / "there"


def test_text_that_databases_cannot_hold_does_not_hide_a_run(tmp_path: Path, url: str) -> None:
    context = {"sample": "a\0b", "title": "half \ud800 a character", "long": "x" * 5000}
    folder = make_run(tmp_path, context=context, summary={"n": float("inf"), "count": 2**70, "huge": 10**400})
    catalogue = Catalogue(tmp_path, url)
    catalogue.update(folder)
    (record,) = catalogue.query("sample == 'a\ufffdb' and count > 1")
    assert record.summary["n"] == "inf"


# -- what goes wrong ------------------------------------------------------------------------------------------------


def test_a_folder_of_a_newer_version_or_a_damaged_one_is_shown_and_hides_no_other(tmp_path: Path) -> None:
    newer = make_run(tmp_path, number=1, age=4)
    request = json.loads((newer / "request.json").read_text())
    (newer / "request.json").write_text(json.dumps({**request, "format": 99}))
    for number, text in enumerate(
        ["", "{", "[]", '"text"', "null", '{"format": "x"}', '{"context": 3, "submitted": "never"}'], start=2
    ):
        (make_run(tmp_path, number=number, age=3) / "request.json").write_text(text)
    (make_run(tmp_path, number=10, age=3) / "events.jsonl").write_bytes(b"\xff\xfe not JSON\n[1]\n")
    (make_run(tmp_path, number=11, age=2) / "events.jsonl").unlink()
    make_run(tmp_path, number=12, age=1)
    (tmp_path / "20260101-000000-zzzzzz").mkdir()
    (tmp_path / "20260101-000000-00000f").mkdir()
    records = {int(record.id[-6:], 16): record for record in Catalogue(tmp_path).query()}
    assert sorted(records) == [*range(1, 9), 10, 11, 12]
    assert records[1].state == "unknown"
    assert "newer version (format 99); update daisy-suite" in records[1].message
    assert all(records[number].state == "unknown" for number in range(2, 8))
    assert "damaged" in records[2].message
    assert records[12].state == "succeeded"


@pytest.mark.parametrize("damage", ["rubbish", "truncated", "holes", "empty", "another database"])
def test_a_damaged_catalogue_is_made_again_from_the_folders(tmp_path: Path, damage: str) -> None:
    for number in range(60):
        make_run(tmp_path, number=number, age=DAY, summary={"rmeas": number / 100})
    Catalogue(tmp_path).query()
    path = tmp_path / "catalogue.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    content = path.read_bytes()
    if damage == "another database":
        path.unlink()
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE mine (x)")
        database.close()
    else:
        path.write_bytes({
            "rubbish": b"this is no database, " * 1000, "truncated": content[: len(content) // 2],
            "holes": content[:4096] + b"\xaa" * (len(content) - 4096), "empty": b"",
        }[damage])  # fmt: skip
    catalogue = Catalogue(tmp_path)
    assert len(catalogue.query("rmeas < 0.3")) == 30
    assert len(Catalogue(tmp_path).query()) == 60
    if damage in ("rubbish", "truncated", "holes"):
        assert "was damaged" in catalogue.messages[0]
        assert "made the catalogue" in catalogue.messages[1]
        assert path.with_name("catalogue.sqlite.damaged").is_file()


def test_a_catalogue_deleted_while_it_is_used_is_made_again_and_says_so(tmp_path: Path) -> None:
    make_run(tmp_path, age=DAY)
    catalogue = Catalogue(tmp_path)
    assert catalogue.query()
    for path in tmp_path.glob("catalogue.sqlite*"):
        path.unlink()
    assert len(catalogue.query()) == 1
    assert "was gone; made again from the folders" in catalogue.messages[-1]


def test_whoever_may_write_runs_may_write_their_catalogue(tmp_path: Path) -> None:
    for mode, expected in ((0o775, 0o060), (0o755, 0o040)):
        root = tmp_path / f"{mode:o}"
        make_run(root)
        root.chmod(mode)
        Catalogue(root).query()
        assert (root / "catalogue.sqlite").stat().st_mode & 0o060 == expected


def test_rebuilding_gives_the_same_rows(tmp_path: Path) -> None:
    for number in range(5):
        make_run(tmp_path, number=number, age=number * DAY, summary={"rmeas": number}, context={"sample": f"S{number}"})
    catalogue = Catalogue(tmp_path)
    before = catalogue.query()
    assert catalogue.rebuild() == 5
    assert catalogue.query() == before
    for path in tmp_path.glob("catalogue.sqlite*"):
        path.unlink()
    again = Catalogue(tmp_path)
    assert again.query() == before
    assert again.messages == [f"made the catalogue {tmp_path / 'catalogue.sqlite'} from 5 run folders"]


def test_a_read_only_folder_of_runs_is_listed_from_a_catalogue_elsewhere(
    open_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(open_root, age=DAY, summary={"rmeas": 0.5})
    Catalogue(open_root).query()  # somebody else's, which cannot be written either
    cache = open_root.parent / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    for home in (cache, Path("/proc/none")):
        monkeypatch.setenv("XDG_CACHE_HOME", str(home))
        with _read_only(open_root):
            catalogue = Catalogue(open_root)
            assert len(catalogue.query("rmeas == 0.5")) == 1
        assert "cannot be written" in catalogue.messages[0]
    assert len(list((cache / "daisy").glob("catalogue-*.sqlite"))) == 1
    assert "memory" in catalogue.messages[-1]


def test_a_read_only_folder_of_runs_refuses_runs_and_tags_with_a_reason(open_root: Path) -> None:
    from core.kernel_lab import norm

    folder = make_run(open_root, age=DAY)
    folder.chmod(0o555)
    with _read_only(open_root):
        with pytest.raises(RunError, match=r"cannot make a run folder.*choose another"):
            WorkflowEngine("inline", runs=open_root).submit(norm, {"y": [1.0]})
        with pytest.raises(RunError, match="cannot write the tags"):
            add_tag(folder, "paper")
    assert [path.name for path in open_root.iterdir()] == [folder.name]


def test_runs_of_a_clock_that_jumped_are_listed_with_sane_times(tmp_path: Path) -> None:
    make_run(tmp_path, number=1, at=100.0)  # before the clock was set
    make_run(tmp_path, number=2, age=-400 * DAY)  # it was ahead
    make_run(tmp_path, number=3, age=DAY, took=-3600.0)  # set back meanwhile
    catalogue = Catalogue(tmp_path)
    assert _ids(catalogue) == [2, 3, 1]
    assert _ids(catalogue, since="2d") == [2, 3]
    assert [record.seconds for record in catalogue.query()] == [2.0, None, 2.0]


def test_a_database_that_cannot_be_reached_or_named_is_told_without_its_password(tmp_path: Path) -> None:
    make_run(tmp_path)
    with pytest.raises(DaisyError, match="unset DAISY_CATALOGUE") as told:
        Catalogue(tmp_path, "postgresql://ada:sesame@127.0.0.1:9/none").query()
    assert "sesame" not in str(told.value)
    with pytest.raises(DaisyError, match="not the URL of a database"):
        Catalogue(tmp_path, "facility://ada:sesame@host").query()


def test_only_file_systems_of_other_hosts_are_network_file_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = (
        "22 1 0:20 / / rw - ext4 /dev/vda rw\n30 22 0:40 / /data rw shared:1 - nfs4 server:/data rw\n"
        "31 30 0:41 / /data/fast\\040disk rw - xfs /dev/b rw\n32 22 0:42 / /gpfs rw - gpfs g rw\n"
    )
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: table)
    assert on_network(Path("/data/runs"))
    assert on_network(Path("/gpfs/x"))
    assert not on_network(Path("/data/fast disk/runs"))
    assert not on_network(Path("/database"))


# -- several at once ------------------------------------------------------------------------------------------------

_WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from core.catalogue_lab import make_run
from daisy_core.catalogue import Catalogue
root, url, who = Path(sys.argv[2]), sys.argv[3] or None, int(sys.argv[4])
everybodys = min(root.glob("2*"))
for number in range(8):
    folder = make_run(root, number=who * 100 + number, age=3600, summary={"who": who, "number": number})
    Catalogue(root, url).update(folder)
    Catalogue(root, url).update(everybodys)
    found = Catalogue(root, url).query(f"who == {who}")
    assert len(found) == number + 1, (who, number, len(found))
"""
_READER = """
import sys
from pathlib import Path
from daisy_core.catalogue import Catalogue
for _ in range(5):
    assert len(Catalogue(sys.argv[2]).query("rmeas < 10")) == 20
"""


def _at_once(code: str, root: Path, url: str = "", count: int = 3) -> None:
    tests = str(Path(__file__).resolve().parents[1])
    words = [sys.executable, "-W", "error", "-c", code, tests, str(root), url]
    processes = [subprocess.Popen([*words, str(who)], stderr=subprocess.PIPE, text=True) for who in range(count)]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors


def test_processes_write_and_read_one_catalogue_at_once(tmp_path: Path, url: str) -> None:
    root = tmp_path / "runs"
    make_run(root, age=DAY)
    _at_once(_WRITER, root, url)
    records = Catalogue(root, url).query("who >= 0")
    assert len(records) == 24
    assert {(record.summary["who"], record.summary["number"]) for record in records} == {
        (a, b) for a in range(3) for b in range(8)
    }


def test_processes_share_the_catalogue_beside_the_runs(tmp_path: Path) -> None:
    make_run(tmp_path, age=DAY)
    _at_once(_WRITER, tmp_path)
    assert len(Catalogue(tmp_path).query()) == 25


def test_processes_that_find_a_damaged_catalogue_at_once_all_see_every_run(tmp_path: Path) -> None:
    for number in range(20):
        make_run(tmp_path, number=number, age=DAY, summary={"rmeas": 0.1})
    (tmp_path / "catalogue.sqlite").write_bytes(b"rubbish" * 5000)
    _at_once(_READER, tmp_path)
    assert len(list(tmp_path.glob("*.damaged"))) == 1


def test_a_writer_that_is_killed_leaves_a_catalogue_that_works(tmp_path: Path) -> None:
    make_run(tmp_path, age=DAY)
    tests = str(Path(__file__).resolve().parents[1])
    code = _WRITER.replace("range(8)", "range(1000)")
    process = subprocess.Popen([sys.executable, "-c", code, tests, str(tmp_path), "", "1"], stderr=subprocess.DEVNULL)
    try:
        while len(list(tmp_path.glob("2*"))) < 6:
            assert process.poll() is None
            time.sleep(0.005)
    finally:
        process.kill()
        process.wait()
    catalogue = Catalogue(tmp_path)
    complete = [path for path in tmp_path.glob("2*") if (path / "request.json").is_file()]
    assert len(catalogue.query()) == len(complete)
    assert catalogue.messages == []


def test_a_shared_database_keeps_folders_of_runs_apart_and_rows_of_folders_that_are_not_here(
    tmp_path: Path, url: str
) -> None:
    first, second = (
        make_run(tmp_path / "a", number=1),
        make_run(tmp_path / "b", "running", number=2, context={"sample": "Ni"}),
    )
    here, there = Catalogue(tmp_path / "a", url), Catalogue(tmp_path / "b", url)
    assert _ids(here) == []  # nobody has entered it yet
    here.update(first)
    there.update(second)
    assert (_ids(here), _ids(there)) == ([1], [2])
    write_events(second, [{"time": time.time(), "kind": "cancelled", "task": None}])
    assert [record.state for record in there.query("sample == 'Ni'")] == ["cancelled"]
    shutil.rmtree(tmp_path / "b")
    assert _ids(there) == [2]
    there.forget([second.name])
    assert _ids(there) == []
    make_run(tmp_path / "a", number=3)
    assert here.rebuild() == 2
    assert _ids(here) == [3, 1]
    with pytest.raises(DaisyError, match="is not one of the runs in"):
        there.update(first)
