"""A symbol can be passed on whole, by field, or through map and reduce; every other use raises with its source line."""

from __future__ import annotations

import copy
import linecache
import math
import operator
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from core.kernel_lab import Curve, profile, scale

from daisy_core import Frame, WorkflowError, workflow

OPERATORS = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow,
    operator.matmul, operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift, divmod,
]  # fmt: skip
IN_PLACE = [
    operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ifloordiv, operator.imod, operator.ipow,
    operator.imatmul, operator.iand, operator.ior, operator.ixor, operator.ilshift, operator.irshift,
]  # fmt: skip
COMPARISONS = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]
UNARY = [operator.neg, operator.pos, operator.abs, operator.invert, round, math.trunc, math.floor, math.ceil]


def use_if(s: Any) -> None:
    if s:
        pass


def use_while(s: Any) -> None:
    while s:
        pass


def use_for(s: Any) -> None:
    for _ in s:
        pass


def use_unpacking(s: Any) -> None:
    _first, _second = s


def use_attribute_assignment(s: Any) -> None:
    s.y = 1


def use_attribute_deletion(s: Any) -> None:
    del s.y


def use_item_assignment(s: Any) -> None:
    s[0] = 1


def use_item_deletion(s: Any) -> None:
    del s[0]


def use_with(s: Any) -> None:
    with s:
        pass


def use_match(s: Any) -> None:
    match s:
        case np.ndarray():
            pass


USES: dict[str, Callable[[Any], Any]] = {
    "truth value": lambda s: bool(s),
    "if": use_if,
    "while": use_while,
    "conditional expression": lambda s: 1 if s else 2,
    "not": lambda s: not s,
    "and": lambda s: s and 1,
    "or": lambda s: s or 1,
    **{f"compare {item.__name__}": (lambda s, item=item: item(s, 1)) for item in COMPARISONS},
    **{f"compare reflected {item.__name__}": (lambda s, item=item: item(1, s)) for item in COMPARISONS},
    "compare with None": lambda s: s == None,  # noqa: E711 - that is the mistake
    "compare with itself": lambda s: s == s,
    **{item.__name__: (lambda s, item=item: item(s, 2)) for item in OPERATORS},
    **{f"reflected {item.__name__}": (lambda s, item=item: item(2, s)) for item in OPERATORS},
    **{f"in-place {item.__name__}": (lambda s, item=item: item(s, 2)) for item in IN_PLACE},
    **{f"unary {item.__name__}": (lambda s, item=item: item(s)) for item in UNARY},
    "iteration": use_for,
    "unpacking": use_unpacking,
    "star arguments": lambda s: print(*s),
    "double star arguments": lambda s: dict(**s),
    "iter": lambda s: iter(s),
    "next": lambda s: next(s),
    "list": lambda s: list(s),
    "tuple": lambda s: tuple(s),
    "sum": lambda s: sum(s),
    "sum of symbols": lambda s: sum([s, s]),
    "max": lambda s: max([s, s]),
    "sorted": lambda s: sorted([s, s]),
    "zip": lambda s: list(zip(s, s, strict=True)),
    "enumerate": lambda s: list(enumerate(s)),
    "reversed": lambda s: reversed(s),
    "len": lambda s: len(s),
    "f-string": lambda s: f"{s}",
    "f-string with format": lambda s: f"{s:.2f}",
    "format": lambda s: "{}".format(s),  # noqa: UP032
    "percent format": lambda s: "%s" % s,  # noqa: UP031
    "str": lambda s: str(s),
    "print": lambda s: print(s),
    "bytes": lambda s: bytes(s),
    "np.asarray": lambda s: np.asarray(s),
    "np.array": lambda s: np.array(s),
    "np.array of a list": lambda s: np.array([s, s]),
    "np.stack": lambda s: np.stack([s, s]),
    "np.mean": lambda s: np.mean(s),
    "np ufunc": lambda s: np.sqrt(s),
    "np binary ufunc": lambda s: np.add(1.0, s),
    "array plus symbol": lambda s: np.ones(3) + s,
    "array compared with symbol": lambda s: np.ones(3) < s,
    "np.float64 times symbol": lambda s: np.float64(2) * s,
    "int": lambda s: int(s),
    "float": lambda s: float(s),
    "complex": lambda s: complex(s),
    "index": lambda s: [1, 2, 3][s],
    "range": lambda s: range(s),
    "math": lambda s: math.sqrt(s),
    "in": lambda s: 1 in s,
    "in a list": lambda s: s in [1, 2],
    "indexing": lambda s: s[0],
    "slicing": lambda s: s[1:3],
    "item assignment": use_item_assignment,
    "item deletion": use_item_deletion,
    "call": lambda s: s(),
    "call with arguments": lambda s: s(1, key=2),
    "attribute assignment": use_attribute_assignment,
    "attribute deletion": use_attribute_deletion,
    "with": use_with,
    "isinstance": lambda s: isinstance(s, np.ndarray),
    "match on a class": use_match,
    "pickle": lambda s: pickle.dumps(s),
    "copy": lambda s: copy.copy(s),
    "hasattr of a thing that is no field": lambda s: hasattr(s, "shape"),
}


def traced_use(use: Callable[[Any], Any], *, of: str) -> str:
    """Trace a workflow whose body makes a forbidden use, and return the message."""

    @workflow(version="1", name="core_tests.forbidden")
    def forbidden(curve: Curve, *, factor: float = 2.0) -> Curve:
        use({"input": curve, "field": curve.y, "result": scale(curve), "parameter": factor}[of])
        return scale.named("last")(curve, factor=factor)

    with pytest.raises(WorkflowError) as caught:
        forbidden.graph()
    return str(caught.value)


@pytest.mark.parametrize("name", USES)
def test_forbidden_use_of_a_symbol_raises_with_the_source_line(name: str) -> None:
    use = USES[name]
    message = traced_use(use, of="input")
    code = use.__code__
    lines = range(code.co_firstlineno, code.co_firstlineno + 4)
    assert "core_tests.forbidden" in message
    assert any(f"test_symbols.py:{line}: {linecache.getline(__file__, line).strip()}" in message for line in lines)


@pytest.mark.parametrize("of", ["field", "result", "parameter"])
@pytest.mark.parametrize(
    "name", ["if", "compare lt", "add", "len", "f-string", "np.asarray", "iteration", "isinstance"]
)
def test_fields_results_and_parameters_are_guarded_like_inputs(name: str, of: str) -> None:
    assert "test_symbols.py:" in traced_use(USES[name], of=of)


def test_a_decision_on_a_parameter_is_told_to_be_structural() -> None:
    assert "Param(structural=True)" in traced_use(use_if, of="parameter")
    assert "Param(structural=True)" not in traced_use(use_if, of="input")


def test_a_symbol_has_only_the_declared_fields() -> None:
    message = traced_use(lambda s: s.intensity, of="input")
    assert "'.intensity'" in message
    assert "its fields: x, y, sigma, label, notes" in message


def test_an_array_has_no_fields() -> None:
    assert "has no fields" in traced_use(lambda s: s.shape, of="field")


def test_a_symbol_can_be_shown_when_the_trace_is_over() -> None:
    seen: list[Any] = []

    @workflow(name="core_tests.shown")
    def shown(curve: Curve) -> Curve:
        seen.append(curve.y)
        return scale(curve)

    shown.graph()
    assert repr(seen) == "[<symbol input.curve.y: array(x)>]"


def test_identity_with_none_is_the_one_question_that_may_be_asked() -> None:
    @workflow(name="core_tests.asked")
    def asked(curve: Curve, other: Curve | None = None) -> Curve:
        return scale(curve) if other is None else scale(other)

    assert str(asked.graph(["curve"]).nodes["scale"].inputs["curve"]) == "input.curve"
    assert str(asked.graph(["curve", "other"]).nodes["scale"].inputs["curve"]) == "input.other"


def test_a_value_made_in_the_body_cannot_enter_the_graph() -> None:
    @workflow(name="core_tests.made")
    def made(frame: Frame) -> Curve:
        return profile(np.ones((2, 2)))

    with pytest.raises(WorkflowError, match=r"test_symbols.py:\d+: return profile\(np.ones.*ndarray"):
        made.graph()


def test_a_symbol_of_another_workflow_cannot_be_linked() -> None:
    kept: list[Any] = []

    @workflow(name="core_tests.leaks")
    def leaks(curve: Curve) -> Curve:
        kept.append(curve)
        return scale(curve)

    @workflow(name="core_tests.borrows")
    def borrows(curve: Curve) -> Curve:
        return scale(kept[0])

    leaks.graph()
    with pytest.raises(WorkflowError, match="belongs to another workflow"):
        borrows.graph()


def test_data_cannot_become_a_parameter_nor_a_parameter_data() -> None:
    @workflow(name="core_tests.data_as_parameter")
    def data_as_parameter(curve: Curve) -> Curve:
        return scale(curve, factor=curve.y)

    @workflow(name="core_tests.parameter_as_data")
    def parameter_as_data(curve: Curve, *, factor: float = 1.0) -> Curve:
        return scale(factor)

    with pytest.raises(WorkflowError, match="enters by an input port"):
        data_as_parameter.graph()
    with pytest.raises(WorkflowError, match="cannot feed the input 'curve'"):
        parameter_as_data.graph()


def test_a_symbol_hidden_in_a_parameter_value_is_refused() -> None:
    @workflow(name="core_tests.hidden")
    def hidden(curve: Curve, *, factor: float = 1.0) -> Curve:
        return scale(curve, factor=[factor])

    with pytest.raises(WorkflowError, match=r"test_symbols.py:\d+"):
        hidden.graph()
