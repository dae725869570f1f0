"""What an attacker of the kernel found: graphs, identities, parameters and files that were silently wrong."""

from __future__ import annotations

import enum
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from core.kernel_lab import Curve, frames, norm, profile, scale

from daisy_core import DaisyError, Param, ParameterError, ParameterModel, WorkflowError, algorithm, nexus, workflow
from daisy_core.engine import WorkflowEngine
from daisy_core.identity import source_hash, value_id
from daisy_core.plan import make_plan
from daisy_core.workflow import Workflow

LEVEL = 2.0


@algorithm(version="1", name="core_attack.half")
def half(x: float, *, by: float = 2.0) -> float:
    """Divide."""
    return x / by


# -- graphs -----------------------------------------------------------------------------------------------------


@workflow(name="core_attack.looks_up")
def looks_up(x: float, *, mode: str = "a") -> float:
    return {"a": half}.get(mode, half.named("other"))(x)


@workflow(name="core_attack.in_a_set")
def in_a_set(x: float, *, mode: str = "a") -> float:
    return half(x) if mode in {"a", "b"} else half.named("other")(x)


@workflow(name="core_attack.optional_field")
def optional_field(curve: Curve) -> Curve:
    return curve if curve.sigma is None else scale(curve)


@workflow(name="core_attack.optional_parameter")
def optional_parameter(x: float, *, level: float | None = None) -> float:
    return half(x) if level is None else half.named("other")(x, by=level)


@workflow(name="core_attack.flag")
def flagged(x: float, *, flag: bool = True) -> float:
    return half(x) if flag is True else half.named("other")(x)


@workflow(name="core_attack.text")
def shows(x: float, *, mode: str = "a") -> float:
    return half.named(f"as{mode!r}")(x)


@workflow(name="core_attack.catches")
def catches(x: float) -> float:
    try:
        if x > 0:
            return half(x)
    except Exception:
        pass
    return half.named("other")(x)


@workflow(name="core_attack.type_of")
def type_of(x: float) -> float:
    return half(x) if type(x) == float else half.named("other")(x)  # noqa: E721 - the mistake


@workflow(name="core_attack.callable_or_sized")
def sized(x: float) -> float:
    return half(x) if callable(x) or hasattr(x, "__len__") else half.named("other")(x)


@workflow(name="core_attack.matches")
def matches(x: float, *, flag: bool = True) -> float:
    match flag:
        case True:
            return half(x)
        case _:
            return half.named("other")(x)


@workflow(name="core_attack.rebound")
def rebound(x: float, y: float | None = None) -> float:
    y = half(x)
    return half.named("other")(x) if y is None else y


WRONG = [
    looks_up,
    in_a_set,
    optional_field,
    optional_parameter,
    flagged,
    shows,
    catches,
    type_of,
    sized,
    matches,
    rebound,
]


@pytest.mark.parametrize("made", WRONG, ids=lambda made: made.node_name)
def test_a_body_whose_graph_would_differ_from_its_python_is_refused_with_the_line(made: Workflow[..., Any]) -> None:
    with pytest.raises(WorkflowError, match=r"test_kernel_attacks\.py:\d+"):
        made.graph()


def test_anything_may_be_asked_of_a_structural_parameter() -> None:
    @workflow(name="core_attack.structural")
    def structural(x: float, *, level: Annotated[float | None, Param(structural=True)] = None) -> float:
        return half(x) if level is None else half.named("other")(x, by=3.0)

    assert list(structural.graph().nodes) == ["half"]
    assert list(structural.graph(None, {"level": 1.0}).nodes) == ["other"]


def test_a_constant_of_the_module_that_changes_changes_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    @workflow(name="core_attack.constant")
    def constant(x: float) -> float:
        return half(x, by=LEVEL)

    assert WorkflowEngine("inline").run(constant, {"x": 8.0}).result() == constant(8.0) == 4.0
    monkeypatch.setitem(globals(), "LEVEL", 4.0)
    assert WorkflowEngine("inline").run(constant, {"x": 8.0}).result() == constant(8.0) == 2.0


# -- JSON -------------------------------------------------------------------------------------------------------


@workflow(name="core_attack.tuned")
def tuned(x: float, *, by: float = 2.0, twice: Annotated[bool, Param(structural=True)] = False) -> float:
    first = half(x, by=by)
    return half.named("again")(first) if twice else first


@pytest.mark.parametrize("values", [{"by": 4.0}, {"twice": True}, {"twice": True, "again.by": 8.0, "by": 1.0}])
def test_set_parameters_survive_json(values: dict[str, Any]) -> None:
    made = tuned.with_params(values)
    again = Workflow.from_json(made.to_json())
    assert again(16.0) == made(16.0) != tuned(16.0)
    assert again.to_json() == made.to_json()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"paramz": {"by": {"value": 3.0}}}, "unknown key 'paramz'; did you mean 'params'"),
        ({"chunk": -1}, "chunk must be at least 1"),
        ({"inputs": {"x": {"value": "text"}}}, r"input 'x' \(float\) cannot be 'text'"),
    ],
)
def test_what_a_file_says_in_vain_is_refused(change: dict[str, Any], message: str) -> None:
    node = {"id": "half", "algorithm": "core_attack.half", "inputs": {"x": {"input": "x"}}, **change}
    content = {"daisy": 1, "workflow": "core_attack.w", "version": "1", "inputs": {"x": "float"}, "nodes": [node]}
    with pytest.raises(WorkflowError, match=message):
        Workflow.from_json({**content, "output": {"node": "half"}})


# -- identity ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (np.array(5.0), np.array([5.0])),
        (np.ma.array([1.0, 2.0], mask=[0, 1]), np.ma.array([1.0, 2.0], mask=[1, 0])),
        (np.zeros(2, [("a", "f8")]), np.zeros(2, [("b", "f8")])),
        ({"a": np.zeros(2, "f4")}, {"a": np.zeros(2, "f8")}),
        ({1: 2.0}, {"1": 2.0}),
    ],
)
def test_different_values_have_different_identities(first: Any, second: Any) -> None:
    assert value_id(first) != value_id(second)


def loaded(text: str) -> Any:
    """Return ``f`` of a module made of text, without source."""
    module = ModuleType("lab_attack")
    exec(compile(text, "lab_attack.py", "exec", dont_inherit=True), module.__dict__)
    return module.__dict__["f"]


@pytest.mark.parametrize(
    "text",
    [
        "K = {}\ndef f(x): return x * K",
        "def h(x): return x * {}\ndef f(x): return h(x)",
        "def make(k):\n    def f(x): return x * k\n    return f\nf = make({})",
        "class B:\n    def update(self, x): return x * {}\nclass f(B): pass",
    ],
)
def test_constants_helpers_closures_and_inherited_methods_are_part_of_the_source(text: str) -> None:
    assert source_hash(loaded(text.replace("{}", "2"))) != source_hash(loaded(text.replace("{}", "3")))
    assert source_hash(loaded(text.replace("{}", "2"))) == source_hash(loaded(text.replace("{}", "2")))


def test_the_value_of_an_absent_port_is_part_of_the_identity() -> None:
    ids = []
    for default in (2.0, 9.0):

        @algorithm(name="core_attack.defaulted")
        def defaulted(x: float, y: float = default) -> float:
            return x * y

        plan = make_plan(defaulted, {"x": 1.0}, {})
        ids.append(plan.derivation_id("defaulted"))
    assert ids[0] != ids[1]


@algorithm(name="core_attack.joined")
def joined(values: list[float]) -> float:
    """Add."""
    return sum(values)


def test_a_lifted_workflow_knows_the_constants_of_its_body(monkeypatch: pytest.MonkeyPatch) -> None:
    @workflow(name="core_attack.inner")
    def inner(x: float) -> float:
        return half(x, by=LEVEL)

    @workflow(name="core_attack.outer")
    def outer(x: list[float]) -> float:
        return joined(inner.map(x))

    before = make_plan(outer, {"x": [1.0]}, {}).derivation_id("joined")
    monkeypatch.setitem(globals(), "LEVEL", 5.0)
    assert make_plan(outer, {"x": [1.0]}, {}).derivation_id("joined") != before


# -- parameters -------------------------------------------------------------------------------------------------


class Kind(enum.IntEnum):
    """Two kinds."""

    ONE = 1
    TWO = 2


class Floating:
    def __float__(self) -> float:
        return 2.0


class Group(ParameterModel):
    """A group."""

    level: float = 1.0
    mode: Literal["x", "n"] = "x"


@algorithm(name="core_attack.takes")
def takes(x: float, *, f: float = 1.0, choice: Literal[1, 2] = 1, kind: Kind = Kind.ONE) -> float:
    """Take a number and two choices."""
    return f + choice + kind


@pytest.mark.parametrize(
    "values",
    [{"f": np.True_}, {"f": np.complex128(1)}, {"f": Floating()}, {"f": Decimal(1)}, {"choice": True}, {"choice": 1.0},
     {"kind": True}, {"kind": 1.0}],
)  # fmt: skip
def test_what_only_looks_like_the_value_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match=next(iter(values))):
        takes(1.0, **values)


def test_numbers_of_other_kinds_are_numbers() -> None:
    assert takes(1.0, f=np.float32(2.0), choice=np.int8(2), kind=2) == 6.0  # type: ignore[arg-type]


@pytest.mark.parametrize("update", [{"level": float("nan")}, {"mode": "muon"}, {"levle": 1.0}])
def test_a_changed_copy_of_a_group_is_checked(update: dict[str, Any]) -> None:
    with pytest.raises(ParameterError):
        Group().model_copy(update=update)
    assert Group(level=3.0).model_copy(update={"mode": "n"}) == Group(level=3.0, mode="n")


# -- NeXus ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "word"), [(np.ma.array([1.0, 2.0], mask=[0, 1]), "mask"), ({1: 2.0}, "key 1")])
def test_what_a_file_would_lose_is_refused(value: Any, word: str, tmp_path: Path) -> None:
    with pytest.raises(DaisyError, match=word):
        nexus.write(tmp_path / "r.nxs", {"a": value})
    assert not list(tmp_path.iterdir())


FULL = """
import resource, sys
import numpy as np
from daisy_core import DaisyError, nexus
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    nexus.write(sys.argv[1], {"a": np.random.default_rng(1).random(100_000)})
except DaisyError as error:
    print(error)
"""


def test_a_disk_that_fills_gives_a_sentence_and_a_clean_end(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "r.nxs")], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, list(tmp_path.iterdir())) == (0, []), done.stderr
    assert done.stdout.startswith(f"cannot write {tmp_path / 'r.nxs'}")


# -- inputs of engines ------------------------------------------------------------------------------------------


@algorithm(name="core_attack.any_input")
def any_input(x: Any) -> str:
    """Say the type."""
    return type(x).__name__


@pytest.mark.parametrize(
    "value", [np.array([object()]), (item for item in ()), lambda: 1], ids=["objects", "gen", "lambda"]
)
def test_an_input_without_identity_is_told_by_its_port(value: Any) -> None:
    with pytest.raises(DaisyError, match=r"core_attack.any_input: input 'x'"):
        WorkflowEngine("inline").run(any_input, {"x": value}).result()


def test_dates_have_an_identity() -> None:
    dates = np.array(["2026-01-01", "2026-01-02"], "datetime64[D]")
    assert WorkflowEngine("inline").run(any_input, {"x": dates}).result() == "ndarray"
    assert value_id(dates) != value_id(dates.astype("datetime64[s]"))


def test_a_returned_path_is_read_by_an_engine_as_in_a_direct_call(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", profile(frames()[0]).y)
    made = Workflow.from_json(_untyped_path())
    assert WorkflowEngine("inline").run(made, {"folder": str(tmp_path)}).result() == norm(profile(frames()[0]).y)


def _untyped_path() -> dict[str, Any]:
    return {
        "daisy": 1, "workflow": "core_attack.path", "version": "1", "inputs": {"folder": "str"},
        "nodes": [{"id": "name", "algorithm": "core_attack.names_any", "inputs": {"folder": {"input": "folder"}}},
                  {"id": "norm", "algorithm": norm.name, "inputs": {"y": {"node": "name"}}}],
        "output": {"node": "norm"},
    }  # fmt: skip


@algorithm(name="core_attack.names_any")
def names_any(folder: str) -> Any:
    """Return the path of an array, without saying so."""
    return f"{folder}/a.npy"
