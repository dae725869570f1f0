"""The query language of the results table: what it finds, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from core.catalogue_lab import DAY, make_run
from hypothesis import given, settings
from hypothesis import strategies as st

from daisy_core import DaisyError, ParameterError
from daisy_core.catalogue import Catalogue
from daisy_core.catalogue.where import where_clause


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    root = tmp_path_factory.mktemp("runs")
    make_run(root, number=1, age=1 * DAY, context={"sample": "Ni", "scan": "7", "user": "ada"},
             summary={"rmeas": 0.05, "verdict": "good", "low": 0.9, "high": 1.1, "converged": True})  # fmt: skip
    make_run(root, number=2, age=2 * DAY, context={"sample": "Cu", "scan": 12, "scale": "room"},
             summary={"rmeas": 0.3, "verdict": "poor", "low": 9, "high": 10, "scale": 2.0, "gr.rmax": 30})  # fmt: skip
    make_run(
        root, "failed", number=3, age=3 * DAY, workflow="pdf.reduce", context={"sample": "NiTi"}, message="no peaks"
    )
    make_run(root, number=4, age=40 * DAY, summary={"rmeas": float("nan"), "R meas": 1, "verdict": "good; --"})
    return Catalogue(root)


def _found(catalogue: Catalogue, where: str) -> set[int]:
    return {int(record.id[-6:], 16) for record in catalogue.query(where)}


@pytest.mark.parametrize(
    ("where", "runs"),
    [
        ("rmeas < 0.1", {1}),
        ("0.1 > rmeas", {1}),
        ("0.04 < rmeas <= 0.3", {1, 2}),
        ("rmeas < 0.1 and sample == 'Ni'", {1}),
        ("rmeas < 0.1 or sample == 'Cu'", {1, 2}),
        ("(rmeas > 1 or rmeas < 0.1) and not verdict == 'poor'", {1}),
        ("not rmeas < 0.1", {2}),
        ("rmeas >= -1e3", {1, 2}),
        ("sample in ('Ni', 'Cu')", {1, 2}),
        ("sample not in ['Ni']", {2, 3}),
        ("'Ni' in sample", {1, 3}),
        ("'ni' in sample", set()),
        ("'Ni' not in sample", {2}),
        ("scan == 12", {2}),
        ("scan == '12'", {2}),
        ("scan > 5", {1, 2}),
        ("scan in (7, 12)", {1, 2}),
        ("converged == True", {1}),
        ("low < high", {1, 2}),
        ("summary.scale == 2", {2}),
        ("context.scale == 'room'", {2}),
        ("gr.rmax > 20", {2}),
        ('summary["R meas"] == 1', {4}),
        ("rmeas is None", {3}),
        ("rmeas is not None and sample != None", {1, 2}),
        ("rmeas == 'nan'", {4}),
        ("state == 'failed'", {3}),
        ("message is None", set()),
        ("app == 'pdf' and workflow == 'pdf.reduce'", {3}),
        ("submitted > '30d'", {1, 2, 3}),
        ("seconds >= 2 and seconds < 3", {1, 2, 3, 4}),
        ("user == 'ada'", {1}),
        ("beamline == 'ID15'", set()),
        ("verdict == \"good; --\"", {4}),
        ("  rmeas<0.1  ", {1}),
    ],
)  # fmt: skip
def test_a_query_finds_the_runs_it_describes(catalogue: Catalogue, where: str, runs: set[int]) -> None:
    assert _found(catalogue, where) == runs


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("__import__('os').system('true')", "is not a comparison"),
        ("rmeas.__class__ == 1", "no run has a value 'rmeas.__class__'"),
        ("(lambda: 1)() == 1", "neither a name nor a number"),
        ("rmeas < abs(-1)", "neither a name nor a number"),
        ("rmeas + 1 < 2", "neither a name nor a number"),
        ("rmeas < 2**9", "neither a name nor a number"),
        ("[x for x in sample] == 1", "neither a name nor a number"),
        ("f'{rmeas}' == 'a'", "neither a name nor a number"),
        ("(rmeas := 3) < 4", "neither a name nor a number"),
        ("sample[0] == 'N'", "only context"),
        ("sample if rmeas else scan", "is not a comparison"),
        ("rmeas", "alone is no comparison"),
        ("rmeas < 0.1 and verdict", "alone is no comparison"),
        ("1 == 1", "two constants"),
        ("rmeas < 1j", "cannot be compared"),
        ("rmeas < b'x'", "cannot be compared"),
        ("rmeas < 1e999", "cannot be compared"),
        ("rmeas < ...", "cannot be compared"),
        ("rmeas < None", "is asked for with 'is None'"),
        ("sample == '\\0'", "characters that no text has"),
        ("sample == '\\ud800'", "characters that no text has"),
        ("state < 3", "'state' is a text"),
        ("seconds == '3'", "'seconds' is a number"),
        ("state == seconds", "a number with a text"),
        ("submitted > 'yesterday'", "is not a time"),
        ("rmaes < 0.1", "no run has a value 'rmaes'; did you mean 'rmeas'?"),
        ("context.rmeas < 0.1", "no run has a value 'rmeas'"),
        ("scale == 1", "write context.scale or summary.scale"),
        ("rmeas is 1", "'is' only asks for None"),
        ("sample in ()", "the list after 'in' is empty"),
        ("sample in 'NiCu'", "'in' asks for one of several"),
        ("'' in sample", "'in' asks for one of several"),
        ("tags == 'x'", "'paper' in tags"),
        ("rmeas < 0.1; DROP TABLE daisy_runs_1", "cannot be read"),
        ("sample = 'Ni'", "cannot be read"),
        ("rmeas < 0.1 && sample == 'Ni'", "cannot be read"),
        ("", "cannot be read"),
        ("(" * 300 + "rmeas<1" + ")" * 300, "cannot be read"),
        ("not " * 200 + "rmeas<1", "nested too deeply"),
        ("rmeas < 1" + " or rmeas < 1" * 200, "longer than"),
    ],
)
def test_anything_but_comparisons_is_refused_with_a_reason(catalogue: Catalogue, where: str, says: str) -> None:
    with pytest.raises(ParameterError) as told:
        catalogue.query(where)
    assert says in str(told.value)


@pytest.mark.parametrize(
    "text", ["' OR 1=1 --", "x'; DELETE FROM daisy_runs_1; --", "%", "_", "Robert'); DROP TABLE daisy_values_1;--"]
)
def test_texts_are_bound_and_never_become_sql(catalogue: Catalogue, text: str) -> None:
    assert _found(catalogue, f"sample == {text!r}") == set()
    assert _found(catalogue, f"{text!r} in sample") == set()
    assert _found(catalogue, f"verdict == {text!r} or sample == 'Ni'") == {1}
    assert len(catalogue.query()) == 4


def test_a_hostile_key_finds_only_itself(tmp_path: Path) -> None:
    key = "x') OR 1=1 --"
    make_run(tmp_path, number=1, summary={key: 1.0})
    make_run(tmp_path, number=2, summary={"y": 1.0})
    assert _found(Catalogue(tmp_path), f"summary[{key!r}] == 1") == {1}


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60) | st.text("rmeas<>=!'\"()[].,0123456789 andornti+-*/:\\", max_size=60))
def test_no_text_whatever_does_more_than_ask_or_be_refused(text: str) -> None:
    from sqlalchemy import ColumnElement

    try:
        found = where_clause(text, {"rmeas": frozenset({"summary"}), "a": frozenset({"context"})})
    except DaisyError:
        return
    assert isinstance(found, ColumnElement)
    found.compile()


def test_any_name_may_be_asked_for_while_there_is_no_run_at_all(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    assert Catalogue(tmp_path / "runs").query("rmeas < 0.1") == []
    assert Catalogue(tmp_path / "nowhere").query("rmeas < 0.1") == []
    assert not (tmp_path / "nowhere").exists()
