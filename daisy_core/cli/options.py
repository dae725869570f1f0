"""Command-line options from declarations: ports, parameters, fields of parameter models, reader options."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import registry
from ..algorithm import Algorithm
from ..errors import ParameterError
from ..params import choices_of, model_of, to_json
from ..reading import FileInput, check_regular, readable
from ..signature import REQUIRED, Parameter, Port, item_type, type_name
from ..workflow import Workflow


@dataclass(frozen=True)
class Option:
    """One option: ``--npt``, ``--config.rpoly`` or ``--integrate.polarization``."""

    option: str
    default: Any
    kind: str
    text: str
    unit: str | None
    choices: tuple[Any, ...] | None
    is_bool: bool

    @property
    def help(self) -> str:
        """What ``--help`` says of it."""
        unit = f" in {self.unit}" if self.unit else ""
        default = (
            "; required"
            if self.default is REQUIRED
            else ("" if self.default is None else f"; default {_shown(self.default)}")
        )
        return f"{self.text}{unit} ({self.kind}{default})".replace("%", "%%")


def _shown(value: Any) -> str:
    plain = to_json(value)
    return " ".join(map(str, plain)) if isinstance(plain, list) else str(plain)


def flatten(algorithm: Algorithm[..., Any]) -> list[Option]:
    """Return the options of all parameters: own ones, fields of parameter models, and those of nodes left open."""
    return list(_flatten(algorithm))


def _flatten(algorithm: Algorithm[..., Any]) -> Iterator[Option]:
    nested = algorithm.node_parameters() if isinstance(algorithm, Workflow) else {}
    for name, item in {**algorithm.parameters, **nested}.items():
        model = model_of(item.annotation)
        if model is None:
            yield _option(name, item)
            continue
        yield Option(name, None, "@file or JSON", f"{item.param.title or name} from a file", None, None, is_bool=False)
        for field, info in model.model_fields.items():
            default = REQUIRED if info.is_required() else info.default
            marks = tuple(info.metadata)
            annotation = _annotated(info.annotation, marks)
            yield _option(f"{name}.{field}", Parameter(f"{name}.{field}", annotation, default))


def _annotated(annotation: Any, marks: tuple[Any, ...]) -> Any:
    from typing import Annotated

    return Annotated[annotation, *marks] if marks else annotation


def _option(name: str, item: Parameter) -> Option:
    declared = item.param
    choices = choices_of(item.annotation)
    text = declared.title or name.rpartition(".")[2]
    if declared.help:
        text = f"{text}: {declared.help}"
    kind = " | ".join(map(str, choices)) if choices else type_name(item.annotation)
    base = (
        getattr(item.annotation, "__origin__", item.annotation)
        if hasattr(item.annotation, "__metadata__")
        else item.annotation
    )
    return Option(name, item.default, kind, text, declared.unit, choices, is_bool=base is bool)


def add_options(parser: argparse.ArgumentParser, algorithm: Algorithm[..., Any]) -> None:
    """Add ports, reader options and parameters of an algorithm to a parser."""
    names = " ".join(
        name.upper() + (" ..." if port.is_sequence else "") for name, port in algorithm.ports.items() if port.required
    )
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help=f"the inputs in order: {names or 'none required'}")
    ports = parser.add_argument_group(
        "inputs", "each a path; 'file.h5::/entry/data' or 'results.nxs::name' for one object in a file"
    )
    for name, port in algorithm.ports.items():
        required = "" if port.required else "; optional"
        ports.add_argument(f"--{name}", dest=f"port:{name}", nargs="+" if port.is_sequence else None, metavar="FILE",
                           help=f"{type_name(port.annotation)}{required}")  # fmt: skip
        for option, parameter in reader_options(port).items():
            described = _option(f"{name}.{option}", parameter)
            ports.add_argument(
                f"--{name}.{option}", dest=f"reader:{name}:{option}", metavar="VALUE", help=described.help
            )
    params = parser.add_argument_group("parameters")
    options = flatten(algorithm)
    # the short name is for the parameters of what is run itself; those of its nodes are called by node
    own = [item.option for item in options if item.option.partition(".")[0] in algorithm.parameters]
    short = [name.rpartition(".")[2] for name in own]
    taken = {*algorithm.ports, *algorithm.parameters, *RESERVED}
    for item in options:
        flags = [f"--{item.option}"]
        plain = item.option.rpartition(".")[2]
        if "." in item.option and item.option in own and short.count(plain) == 1 and plain not in taken:
            flags.append(f"--{plain}")
        many = "list" in item.kind
        params.add_argument(
            *flags, dest=f"param:{item.option}", metavar="VALUE", nargs="+" if many else None, help=item.help
        )


RESERVED = ("out", "engine", "workers", "gpus", "checkpoint", "cache", "runs", "context", "quiet", "help")


def reader_options(port: Port) -> dict[str, Parameter]:
    """Return the options of the reader of a port's data type."""
    found = None if port.is_file else registry.reader(port.item)
    return found.parameters if found is not None else {}


def collect_inputs(algorithm: Algorithm[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs that the command line gives, as files with reader options or as plain values.

    Words without an option fill the required ports in order. Optional ports are filled by name only: a second sample must
    not become a background.

    Raises
    ------
    ParameterError
        If there are more words than required ports.
    InputError
        If an input is a folder, a pipe or a device.
    """
    words: list[str] = list(arguments["inputs"])
    found: dict[str, Any] = {}
    for name, port in algorithm.ports.items():
        given: Any = arguments.get(f"port:{name}")
        if given is None and words and port.required:
            given = words if port.is_sequence else words[0]
            words = [] if port.is_sequence else words[1:]
        if given is None:
            continue
        options = {
            option: parse_word(arguments[f"reader:{name}:{option}"], parameter.annotation)
            for option, parameter in reader_options(port).items()
            if arguments.get(f"reader:{name}:{option}") is not None
        }
        found[name] = (
            [_input(algorithm, port, word, options) for word in given]
            if port.is_sequence
            else _input(algorithm, port, given, options)
        )
    if words:
        raise ParameterError(f"{algorithm.name}: too many inputs; {_left_over(algorithm, words[0], found)}")
    return found


def _left_over(algorithm: Algorithm[..., Any], word: str, found: Mapping[str, Any]) -> str:
    required = [name for name, port in algorithm.ports.items() if port.required]
    free = [name for name, port in algorithm.ports.items() if not port.required and name not in found]
    by_name = " or ".join(f"--{name} {shlex.quote(word)}" for name in free)
    hint = f"; optional inputs are given by name: {by_name}" if free else ""
    return f"'{word}' has no port left (in order: {', '.join(required) or 'none'}){hint}"


def _input(algorithm: Algorithm[..., Any], port: Port, word: str, options: Mapping[str, Any]) -> Any:
    if port.is_file or readable(port.item):
        source = FileInput(str(Path(word).expanduser()), options)
        check_regular(algorithm, port, source.file)
        return source
    return parse_word(word, port.annotation)


def collect_params(algorithm: Algorithm[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that the command line gives; ``--config @file`` fills a parameter model from a file."""
    found: dict[str, Any] = {}
    nested = algorithm.node_parameters() if isinstance(algorithm, Workflow) else {}
    for name, item in {**algorithm.parameters, **nested}.items():
        model = model_of(item.annotation)
        word = arguments.get(f"param:{name}")
        if model is None:
            if word is not None:
                found[name] = parse_word(word, item.annotation)
            continue
        fields = {
            field: parse_word(arguments[f"param:{name}.{field}"], info.annotation)
            for field, info in model.model_fields.items()
            if arguments.get(f"param:{name}.{field}") is not None
        }
        if word is not None or fields:
            base = _model_values(model, word) if word is not None else _default_values(item)
            found[name] = model(**{**base, **fields})
        elif item.default is REQUIRED:
            example = next(iter(model.model_fields))
            raise ParameterError(
                f"{algorithm.name}: the parameters '{name}' are required: give some, such as --{name}.{example}, "
                f"or --{name} @file"
            )
    return found


def _default_values(item: Parameter) -> dict[str, Any]:
    return {} if item.default is REQUIRED else dict(item.default)


def _model_values(model: Any, word: str) -> dict[str, Any]:
    if word.startswith("@"):
        path = Path(word[1:]).expanduser()
        if not path.is_file():
            raise ParameterError(f"no such file for {model.__name__}: {path}")
        try:
            if path.suffix == ".json":
                return _json_object(model, path.read_text(encoding="utf-8"), str(path))
            if hasattr(model, "from_cfg"):
                filled = model.from_cfg(path)
                return {name: getattr(filled, name) for name in filled.model_fields_set}
        except (OSError, UnicodeDecodeError) as error:
            raise ParameterError(f"{model.__name__}: cannot read {path}: {error}") from error
        raise ParameterError(f"{model.__name__} can be filled from JSON files only; got {path}")
    return _json_object(model, word, f"'{word}', which is no @file,")


def _json_object(model: Any, text: str, where: str) -> dict[str, Any]:
    """Return the parameters that a JSON object names."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ParameterError(f"{model.__name__}: {where} is not JSON ({error})") from None
    if not isinstance(found, dict):
        example = next(iter(model.model_fields))
        raise ParameterError(f'{model.__name__}: {where} is no JSON object; write {{"{example}": ...}}')
    return found


def parse_word(word: str | Sequence[str], annotation: Any) -> Any:
    """Return a word (or words) of the command line as the value that a parameter's type asks for."""
    if not isinstance(word, str):
        item = item_type(annotation)
        if item is None and len(word) == 1:
            return parse_word(word[0], annotation)
        return tuple(parse_word(one, Any if item is None else item) for one in word)
    if model_text_only(annotation):
        return word
    try:
        return json.loads(word)
    except json.JSONDecodeError:
        return {"true": True, "false": False, "yes": True, "no": False, "none": None}.get(word.lower(), word)


def model_text_only(annotation: Any) -> bool:
    """True where the type is text, or a choice of words, so that ``8`` or ``no`` stays a word."""
    from ..datatypes import strip_optional

    inner, _ = strip_optional(annotation)
    if hasattr(inner, "__metadata__"):
        inner, _ = strip_optional(inner.__origin__)
    choices = choices_of(inner)
    return inner is str or (choices is not None and all(isinstance(choice, str) for choice in choices))
