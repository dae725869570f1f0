"""The context of a run comes from who starts it and from the file, and holds no secrets; the summary from its outputs."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, NamedTuple

import h5py
import numpy as np
import pytest
from core.catalogue_lab import Merged
from numpy.typing import NDArray

from daisy_core import Axes, FileInput, InputError, ParameterError, data, nexus
from daisy_core.catalogue import context_from_file, run_context, summarise
from daisy_core.secrecy import looks_secret, refuse_secrets

ME = pwd.getpwuid(os.getuid()).pw_name


def _nexus(
    path: Path, change: Callable[[Any], Any] | None = None, entry: str = "entry", sample: str | None = "Ni"
) -> Path:
    with h5py.File(path, "a") as handle:
        group = handle.create_group(entry)
        group.attrs["NX_class"] = "NXentry"
        group["title"] = "powder  in\na capillary"
        group["entry_identifier"] = "scan_0042"
        group["experiment_identifier"] = np.array([b"HC-5432"])
        for name, kind, value in (
            ("sample", "NXsample", sample),
            ("ID15", "NXinstrument", "ID15A"),
            ("ada", "NXuser", "Ada"),
        ):
            child = group.create_group(name)
            child.attrs["NX_class"] = kind
            if value is not None:
                child["name"] = value
        if change is not None:
            change(handle)
    return path


def test_the_context_is_what_the_nexus_file_states(tmp_path: Path) -> None:
    assert context_from_file(_nexus(tmp_path / "a b#ü.nxs")) == {
        "proposal": "HC-5432", "scan": "scan_0042", "title": "powder in a capillary",
        "sample": "Ni", "beamline": "ID15A", "user": "Ada",
    }  # fmt: skip


def test_nothing_is_invented(tmp_path: Path) -> None:
    def strange(handle: Any) -> None:
        entry = handle["entry"]
        del entry["title"], entry["entry_identifier"], entry["sample/name"]
        entry["title"] = np.zeros((3, 3))
        entry["entry_identifier"] = 42
        entry["sample/name"] = "   "
        other = entry.create_group("other")
        other.attrs["NX_class"] = "NXinstrument"
        other["name"] = "ID11"
        second = entry.create_group("user2")
        second.attrs["NX_class"] = np.array([b"NXuser"])
        second["name"] = "Grace"
        entry["broken"] = h5py.ExternalLink("gone.h5", "/entry")
        entry["nowhere"] = h5py.SoftLink("/not/here")

    found = context_from_file(_nexus(tmp_path / "a.nxs", strange))
    assert found == {"proposal": "HC-5432", "scan": 42, "user": "Ada, Grace"}
    with h5py.File(tmp_path / "plain.h5", "w") as handle:
        handle["data"] = np.zeros(3)
    assert context_from_file(tmp_path / "plain.h5") == {}
    (tmp_path / "x.chi").write_text("1 2\n")
    assert context_from_file(tmp_path / "x.chi") == {}


def test_of_several_entries_the_named_or_default_one_counts_else_what_they_agree_on(tmp_path: Path) -> None:
    path = _nexus(_nexus(tmp_path / "a.nxs", entry="one", sample="Ni"), entry="two", sample="Cu")
    assert "sample" not in context_from_file(path)
    assert context_from_file(path)["beamline"] == "ID15A"
    assert context_from_file(f"{path}::/two/data")["sample"] == "Cu"
    with h5py.File(path, "a") as handle:
        handle.attrs["default"] = "one"
    assert context_from_file(path)["sample"] == "Ni"
    assert context_from_file(f"{path}::two")["sample"] == "Cu"


def test_a_result_hands_on_the_context_of_its_run_but_not_its_user(tmp_path: Path) -> None:
    nexus.write(tmp_path / "r.nxs", {"x": 1.0}, {"context": {"sample": "Ni", "user": "ada", "oven": 3}})
    assert context_from_file(tmp_path / "r.nxs") == {"sample": "Ni", "oven": 3}
    nexus.write(tmp_path / "s.nxs", {"x": 1.0}, {"context": None})
    assert context_from_file(tmp_path / "s.nxs") == {}


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        context_from_file(tmp_path / "none.nxs")
    path = _nexus(tmp_path / "a.nxs")
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(InputError, match=r"a\.nxs is not a readable HDF5 file"):
        context_from_file(path)
    assert run_context({}, {"image": path}) == {"user": ME}  # its reader will tell


def test_given_keys_win_over_the_file_and_the_file_over_the_system(tmp_path: Path) -> None:
    path = _nexus(tmp_path / "a.nxs")
    found = run_context({"sample": "nickel", "oven": 3.5, "title": None}, {"image": str(path)})
    assert (found["sample"], found["oven"], found["user"], found["proposal"]) == ("nickel", 3.5, "Ada", "HC-5432")
    assert "title" not in found
    assert run_context({}, {"image": np.zeros(2), "path": "x.chi"}) == {"user": ME}
    assert run_context({"user": None}, {}) == {}


def test_the_first_port_with_a_file_tells_and_its_files_must_agree(tmp_path: Path) -> None:
    empty = _nexus(tmp_path / "empty.nxs", sample="capillary")
    sample = _nexus(tmp_path / "sample.nxs", sample="Ni")
    inputs = {"backgrounds": [empty], "image": FileInput(sample, {}), "scale": 2.0}
    assert run_context({}, inputs, SimpleNamespace(ports=["image", "backgrounds"]))["sample"] == "Ni"
    (tmp_path / "x.chi").write_text("1 2\n")
    assert "sample" not in run_context({}, {"pattern": tmp_path / "x.chi", "backgrounds": [empty]})
    assert run_context({}, {"images": [sample, sample]})["sample"] == "Ni"
    both = run_context({}, {"images": [sample, str(empty)] + [sample] * 200})
    assert "sample" not in both
    assert both["beamline"] == "ID15A"


@pytest.mark.parametrize(
    ("given", "says"),
    [({"": "x"}, "is not a name"), ({"a\n": "x"}, "is not a name"), ({3: "x"}, "is not a name"), ({"scan": [1]}, "text or a number"),
     ({"scan": float("nan")}, "leave it out"), ({"sample": "\udcff"}, "be written down")],
)  # fmt: skip
def test_what_is_no_context_is_refused(given: Any, says: str) -> None:
    with pytest.raises(ParameterError, match=says):
        run_context(given, {})


# -- secrets --------------------------------------------------------------------------------------------------------

_NAMES = ["password", "db_password", "API_KEY", "apiKey", "api-key", "Authorization", "icat_token", "accessToken", "client_secret",
          "private_key", "credentials"]  # fmt: skip
SECRETS = [
    *((name, "sesame") for name in _NAMES), ("password", 1234), ("note", "Bearer abcdef0123456789abcdef"),
    ("url", "https://ada:sesame@host/data"), ("note", "-----BEGIN RSA PRIVATE KEY-----\nMI"), ("note", "AKIAIOSFODNN7EXAMPLE"),
    ("note", "ghp_0123456789abcdefghijABCDEFGHIJ012345"), ("note", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc"),
]  # fmt: skip
HARMLESS = [
    ("sample", "Ni"), ("token_file", "~/.token"), ("password_env", "PASSWORD"), ("max_tokens", 5), ("keyword", "x"), ("key", "x"),
    ("author", "Ada"), ("password", None), ("password", ""), ("use_password", False), ("monkey", "x"), ("passive", "x"),
    ("url", "https://host/data@2"), ("path", "/data/a:b@c"), ("note", "Basic characterization of nickel"), ("secretary", "x"),
    ("tokens", 3), ("scan", "12:30@50K"), ("file", "scan.h5::/entry/data"), ("energy", 12.4),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), SECRETS)
def test_secrets_are_refused_by_name_and_by_look_and_never_shown(name: str, value: Any) -> None:
    assert looks_secret(name, value)
    for kind, values in (("context", {name: value}), ("parameter", {"config": {"inner": [{name: value}]}})):
        with pytest.raises(ParameterError, match=f"{kind} '.*{name}' looks like a secret") as told:
            refuse_secrets(kind, values)
        assert str(value) not in str(told.value).replace(name, "")
    with pytest.raises(ParameterError, match="looks like a secret"):
        run_context({name: value}, {})


@pytest.mark.parametrize(("name", "value"), HARMLESS)
def test_what_only_sounds_like_a_secret_is_none(name: str, value: Any) -> None:
    assert not looks_secret(name, value)


def test_arrays_and_models_are_no_secrets() -> None:
    from core.kernel_lab import Recipe

    refuse_secrets("parameter", {"values": np.zeros(3), "recipe": Recipe(), "items": (1, "a")})


def test_a_secret_in_a_list_goes_by_the_name_of_the_list() -> None:
    with pytest.raises(ParameterError, match="parameter 'password'"):
        refuse_secrets("parameter", {"password": ["a", "b"]})


def test_a_secret_in_the_file_is_refused_too(tmp_path: Path) -> None:
    def leak(handle: Any) -> None:
        del handle["entry/title"]
        handle["entry/title"] = "https://ada:sesame@host/"

    with pytest.raises(ParameterError, match="context 'title' looks like a secret"):
        run_context({}, {"image": _nexus(tmp_path / "a.nxs", leak)})


# -- summary --------------------------------------------------------------------------------------------------------


@data
class _Fit:
    y: Annotated[NDArray[Any], Axes("x")]
    chi2: float
    steps: int
    engine: str = "lm"
    converged: bool = True
    note: str | None = None
    warnings: tuple[str, ...] = ()


@data
class _Faulty:
    y: Annotated[NDArray[Any], Axes("x")]
    scale: float = 2.0

    def summary(self) -> dict[str, float]:
        raise ZeroDivisionError


@data
class _Field:
    summary: str = "a field"


class _Two(NamedTuple):
    fit: _Fit
    scale: float


def test_the_summary_is_the_scalar_fields_of_the_result() -> None:
    fit = _Fit(np.zeros(3), chi2=np.float64(1.5), steps=np.int32(7))  # type: ignore[arg-type]
    assert summarise({"result": fit}) == {"chi2": 1.5, "steps": 7, "engine": "lm", "converged": True}
    assert summarise({"result": _Field()}) == {"summary": "a field"}


def test_several_ports_are_told_apart() -> None:
    outputs = _Two(_Fit(np.zeros(3), 1.0, 2), np.array(3.0))._asdict()  # type: ignore[arg-type]
    assert summarise(outputs) == {
        "fit.chi2": 1.0,
        "fit.steps": 2,
        "fit.engine": "lm",
        "fit.converged": True,
        "scale": 3.0,
    }


def test_a_data_type_says_itself_what_counts() -> None:
    merged = Merged(np.zeros(4), 0.05)
    said = {"rmeas": 0.05, "reflections": 4, "verdict": "good"}
    assert summarise({"result": merged}) == said
    assert summarise({"native": merged, "anomalous": merged, "rmerge": 1.0}) == {
        **said, **{f"anomalous.{key}": value for key, value in said.items()}, "rmerge": 1.0,
    }  # fmt: skip


def test_a_faulty_summary_costs_no_run(caplog: pytest.LogCaptureFixture) -> None:
    assert summarise({"result": _Faulty(np.zeros(1))}) == {"scale": 2.0}
    assert "_Faulty.summary() raised ZeroDivisionError" in caplog.text


def test_only_numbers_and_short_texts_are_table_values() -> None:
    outputs = {"nan": float("nan"), "inf": np.float32(-np.inf), "long": "x" * 500, "lines": "a\nb", "none": None, "empty": "",
               "array": np.zeros(1), "complex": 1j, "list": [1.0], "flag": np.bool_(True), "big": 2**80}  # fmt: skip
    assert summarise(outputs) == {"nan": "nan", "inf": "-inf", "flag": True, "big": 2**80}
