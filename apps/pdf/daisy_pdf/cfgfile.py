"""The ``key = value`` text of PDFgetX3: ``.cfg`` files, and the headers of ``.gr``, ``.fq``, ``.sq`` and ``.iq`` files."""

from __future__ import annotations

import configparser
import difflib
import re
from collections.abc import Collection, Mapping

from daisy_core import InputError, ParameterError

ALIASES = {"bgscales": "bgscale", "terminationfunction": "terminationfunctions"}

# Keys that PDFgetX3 and its graphical front ends write and that are no parameters of a reduction: files are ports here.
_FILES = "backgroundfile backgroundfilefull backgroundfiles datapath formfactorfile input inputdir inputfile inputfiles"
_OUTPUT = (
    "debug force interact outdir output outputfile outputtype outputtypes plot savedir usebackground verbose version"
)
IGNORED = frozenset((*_FILES.split(), *_OUTPUT.split()))

_DATA_START = re.compile(r"^\s*#+\s*(start data|[SL]\s)", re.IGNORECASE | re.MULTILINE)
_GUI_SECTIONS = ("PDF", "Misc")
_OURS = "daisy"


def is_data_header(text: str) -> bool:
    """Return True where the text is the header of a data file, written by a program rather than by a person."""
    return _DATA_START.search(text) is not None


def read_keys(text: str, section: str | None, known: Collection[str], name: str) -> dict[str, str]:
    """Return the configuration keys of a text, renamed to the fields of the configuration.

    Parameters
    ----------
    text : str
        The whole file.
    section : str or None
        Section of a ``.cfg`` file; it inherits from ``[DEFAULT]``. None takes ``[DEFAULT]`` and the sections that
        graphical front ends write (``[PDF]``, ``[Misc]``), or the only section there is.
    known : collection of str
        The fields of the configuration.
    name : str
        Name of the file, for messages.

    Returns
    -------
    dict
        Field to text. Keys that belong to files, output and screens are left out.

    Raises
    ------
    InputError
        If the text holds no configuration.
    ParameterError
        If the section does not exist, or a ``.cfg`` file has a key that neither we nor PDFgetX3 know. In the header of
        a data file, which a program wrote, unknown keys are passed over.
    """
    match = _DATA_START.search(text)
    pairs = _section(_parse(text[: match.start()] if match else text, name), section, name, in_header=match is not None)
    keys = {ALIASES.get(key, key): " ".join(value.split()) for key, value in pairs.items()}
    found = {key: value for key, value in keys.items() if key in known and value.lower() not in ("", "none")}
    strangers = [key for key in keys if key not in known and key not in IGNORED]
    near = difflib.get_close_matches(strangers[0], known, n=1) if strangers else []
    if not found.keys() - {"wavelength"} and not near:
        raise InputError(
            f"{name} holds no PDF configuration; give a .cfg file, or a .gr/.fq/.sq/.iq file with a header"
        )
    if strangers and match is None:
        hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(sorted(known))}"
        raise ParameterError(f"{name}: unknown key '{strangers[0]}'; {hint}")
    return found


def write_keys(pairs: Mapping[str, object], heading: str = "DEFAULT") -> str:
    """Return ``[heading]`` and one ``key = value`` line for each pair that is not None or empty."""
    lines = [f"[{heading}]"]
    for key, value in pairs.items():
        text = _to_text(value)
        if text:
            lines.append(f"{key} = {text}")
    return "\n".join(lines) + "\n"


def _to_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, (tuple, list)):
        return " ".join(_to_text(item) for item in value)
    return repr(value) if isinstance(value, float) else str(value)


def _parse(text: str, name: str) -> configparser.ConfigParser:
    """Read sections and keys; a text that starts without a section is the default one."""
    parser = configparser.ConfigParser(
        interpolation=None, delimiters=("=",), comment_prefixes=("#", ";"), strict=False, allow_no_value=True
    )
    try:
        parser.read_string("[DEFAULT]\n" + text)
    except configparser.Error as error:
        raise InputError(f"{name} cannot be read as a configuration: {error}") from None
    return parser


def _section(parser: configparser.ConfigParser, section: str | None, name: str, *, in_header: bool) -> dict[str, str]:
    named = [item for item in parser.sections() if item not in (*_GUI_SECTIONS, _OURS)]
    defaults = {key: value or "" for key, value in parser.defaults().items()}
    if section is not None:
        if section != "DEFAULT" and not parser.has_section(section):
            raise ParameterError(
                f"{name} has no section [{section}]; it has: {', '.join(parser.sections()) or '[DEFAULT]'}"
            )
        return defaults if section == "DEFAULT" else _items(parser, section)
    for gui in _GUI_SECTIONS:
        if parser.has_section(gui):
            defaults |= _items(parser, gui)
    if defaults or not named or in_header:
        return defaults
    if len(named) > 1:
        raise ParameterError(f"{name} has several sections; choose one: {', '.join(named)}")
    return _items(parser, named[0])


def _items(parser: configparser.ConfigParser, section: str) -> dict[str, str]:
    return {key: value or "" for key, value in parser.items(section)}
