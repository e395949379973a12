"""Make the reference pages from the program itself, and build the documentation with them.

    make docs        (python -m mkdocs build --strict)

A hook of MkDocs (mkdocs.yml names it): the commands with their options, the keys of the protocol, the formats and the
interface to programs are read from the program while the pages are built, so that no copy of them can go stale. Links
that lead out of docs/, to the program's own files, become plain words, since the pages are read without the repository.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import posixpath
import re
import sys
import tempfile
import typing
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import typer

from triage import cli, formats, protocol as protocols, web
from triage.project import Project
from triage.web.gate import ServerOrigin

if typing.TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!\w+:|#)([^)\s]+)\)")
# The menu of the commands, in the order of a review; what is not named here comes last.
USUAL_WAY = "new import dedupe filter studies rank screen serve label undo status stop report export attach log".split()
TABLES = {  # the protocol's tables, in the order of the template
    "": (protocols.Protocol, "For the whole protocol, above every table"),
    "[[sources]]": (protocols.Source, "A table for each database searched"),
    "[[include]] and [[exclude]]": (protocols.Criterion, "A table for each criterion"),
    "[limits]": (protocols.Limits, "What a record must be to be screened at all"),
    "[[stages]]": (protocols.Stage, "A table for each stage"),
    "[[highlights]]": (protocols.WordList, "A table for each list of words to mark in the records"),
    "[stopping]": (protocols.Stopping, "When screening can stop"),
    "[machines]": (protocols.Machines, "Language models and other machines that screen"),
}
KINDS = {
    "str": "text",
    "bool": "true or false",
    "int": "whole number",
    "int | None": "whole number",
    "float": "number from 0 to 1",
    "date | None": "date, month or year",
    "tuple[str, ...]": "list of texts",
    "tuple[Criterion, ...]": "list of codes, or of new codes with their text",
}


def pages() -> dict[str, str]:
    """Return the pages of the reference by their paths."""
    made = {"commands": commands(), "protocol": protocol(), "formats": files_of_records(), "http": http()}
    return {f"reference/{name}.md": "\n".join(lines) + "\n" for name, lines in made.items()}


# -- the commands --------------------------------------------------------------------------------


def commands() -> Iterator[str]:
    """Yield every command with what it does, its arguments and its options."""
    known = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    yield from ("# Commands", "")
    yield "`triage COMMAND --help` prints the same. Every path may have blanks if it is quoted."
    rest = sorted(set(known) - set(USUAL_WAY))
    for name in (*USUAL_WAY, *rest):
        command = known[name]
        yield from ("", f"## triage {name}", "")
        yield _filled(command.help.replace("\b\n", "").replace("\x08\n", ""))
        arguments = [one for one in command.params if one.param_type_name == "argument"]
        options = [one for one in command.params if one.param_type_name == "option"]
        yield from ("", "| argument or option | what it is |", "|---|---|")
        for one in arguments:
            yield f"| `{_cell(one.metavar or one.name.upper())}` | {_cell(one.help or '')}{_default(one)} |"
        for one in options:
            value = "" if one.is_flag else f" {one.metavar or one.type.name.upper()}"
            names = ", ".join(f"`{_cell(opt + value)}`" for opt in one.opts)
            yield f"| {names} | {_cell(one.help or '')}{_default(one)} |"


def _default(parameter: typing.Any) -> str:
    if parameter.required:
        return " (needed)"
    if parameter.default in (None, "", False) or parameter.show_default is False:
        return ""
    return f" Default: `{getattr(parameter.default, 'value', parameter.default)}`."


def _filled(text: str) -> str:
    """Return a help text as Markdown: its indented paragraphs are code there as well."""
    return re.sub(r"(?m)^(?! {4}|$)(.*)$", lambda line: line[1].replace("<", "&lt;"), inspect.cleandoc(text))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


# -- the protocol --------------------------------------------------------------------------------


def protocol() -> Iterator[str]:
    """Yield the protocol's keys with their kinds and what holds where they are left out, and the template."""
    yield from ("# The protocol's keys", "")
    yield (
        "A review's `protocol.toml`. Every key may be left out but a source's and a stage's `name`, and the `code` and "
        "`text` of a criterion. A key that the program does not know is refused, with its line."
    )
    for table, (kind, about) in TABLES.items():
        yield from ("", f"## `{table}`" if table else "## Above the tables", "", f"{about}.", "")
        yield from ("| key | kind | when left out |", "|---|---|---|")
        for field in dataclasses.fields(kind):
            if (told := KINDS.get(str(field.type))) and (
                kind is not protocols.Protocol or field.name in protocols.PLAIN_KEYS
            ):
                yield f"| `{field.name}` | {told} | {_left_out(field)} |"
    yield from ("", "## What each key means", "", "The file that `triage new` writes, to fill in:", "", "```toml")
    yield protocols.template().rstrip()
    yield "```"


def _left_out(field: dataclasses.Field[object]) -> str:
    if field.default is dataclasses.MISSING:
        return "needed"
    if field.default in ("", (), None):
        return "none"
    return f"`{json.dumps(field.default)}`"


# -- files ---------------------------------------------------------------------------------------


def files_of_records() -> Iterator[str]:
    """Yield the formats that are read and written."""
    yield from ("# Formats", "", "## Read", "")
    yield (
        "A file is recognized by what is in it, whatever it is called; `triage import --format NAME` names its format "
        "where that fails."
    )
    yield from ("", "| name | what it is |", "|---|---|")
    for name in formats.FORMATS:
        told = _SAID.get(name) or (inspect.getdoc(inspect.getmodule(formats._READERS[name])) or "").split("\n\n")[0]
        yield f"| `{name}` | {_cell(told)} |"
    yield from ("", "## Columns of tables", "")
    yield (
        "The column of each field is found by its name, of which only the letters count, in upper or lower case. Others "
        '`triage import --column FIELD="HEADER"` names.'
    )
    yield from ("", "| field | names that are known |", "|---|---|")
    for column, names in formats.COLUMNS.items():
        yield f"| `{column}` | {_cell(', '.join(names))} |"
    yield from (
        "",
        "## Written",
        "",
        "`triage export -o FILE` writes by the file's ending, and every imported field:",
        "",
    )
    yield ", ".join(f"`{ending}`" for ending in formats.WRITERS) + "."
    yield from ("", "With `--for PROGRAM` a file holds what that program reads:", "")
    yield from ("| `--for` | program | endings | where the decisions are |", "|---|---|---|---|")
    for name, program in formats.PROGRAMS.items():
        endings = ", ".join(f"`{ending}`" for ending in program.writers)
        yield f"| `{name}` | {program.name} | {endings} | {_cell(program.hint)} |"


_SAID = {  # of formats that share a reader, or have several
    "json": "JSON of OpenAlex, Crossref, Lens, CSL and others.",
    "registry-xml": "XML of ClinicalTrials.gov, WHO ICTRP and Europe PMC.",
    "labelled-text": "Texts whose lines name their fields: CENTRAL, ProQuest, the EU's register, RefWorks.",
    "pubmed-text": "PubMed's formats Summary and Abstract, saved as text.",
    "embase-lines": "Embase's CSV with a field a line.",
    "csv": "A table of values with commas or semicolons between them.",
    "tsv": "A table of values with tabs between them.",
    "xlsx": "An Excel workbook.",
    "xls": "A workbook of Excel before 2007.",
    "parquet": "A Parquet file.",
}


# -- the interface to programs -------------------------------------------------------------------


def http() -> Iterator[str]:
    """Yield what the server answers programs, from its own description."""
    with tempfile.TemporaryDirectory() as folder, Project.create(Path(folder) / "r.triage", "") as project:
        door = ServerOrigin.of("127.0.0.1", 8765, tls=False, public="")
        described = web.make_app(project, door, reviewer="reader").openapi()
    yield from ("# The interface to programs", "", described["info"]["description"], "")
    yield "A running `triage serve` describes it itself, at `/api` for people and at `/api/openapi.json` for programs."
    groups: dict[str, list[tuple[str, str, dict]]] = {}
    for path, methods in described["paths"].items():
        for method, one in methods.items():
            groups.setdefault(one["tags"][0], []).append((method.upper(), path, one))
    schemas = described["components"]["schemas"]
    for group, some in groups.items():
        yield from ("", f"## {group.capitalize()}")
        for method, path, one in some:
            yield from ("", f"### `{method} {path}`", "", one.get("description", one["summary"]))
            if one.get("parameters"):
                yield from ("", "| parameter | in | kind |", "|---|---|---|")
                for parameter in one["parameters"]:
                    needed = " (needed)" if parameter.get("required") else ""
                    yield f"| `{parameter['name']}`{needed} | {parameter['in']} | {_cell(_kind(parameter['schema']))} |"
            for media, body in one.get("requestBody", {}).get("content", {}).items():
                schema = body["schema"]
                schema = schemas[schema["$ref"].split("/")[-1]] if "$ref" in schema else schema
                yield from ("", f"Body, `{media}`:", "", "| field | kind |", "|---|---|")
                for name, about in schema.get("properties", {}).items():
                    needed = " (needed)" if name in schema.get("required", ()) else ""
                    yield f"| `{name}`{needed} | {_cell(_kind(about))} |"


def _kind(schema: dict) -> str:
    """Return in words what a value may be."""
    if "$ref" in schema:
        return str(schema["$ref"].split("/")[-1])
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"] if one.get("type") != "null")
    if "enum" in schema or "const" in schema:
        return ", ".join(map(str, schema.get("enum", [schema.get("const")])))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    limits = [f"{word} {schema[key]}" for key, word in _LIMITS.items() if key in schema]
    return " ".join([schema.get("format", schema.get("type", "anything")), *limits])


_LIMITS = {
    "minimum": "from",
    "maximum": "to",
    "minLength": "of at least",
    "maxLength": "of at most",
    "default": "default",
}


# -- hooks of MkDocs -----------------------------------------------------------------------------


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the reference to the pages."""
    from mkdocs.structure.files import File

    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make plain words of links that lead out of the documentation."""
    folder = posixpath.dirname(page.file.src_uri)

    def inside(link: re.Match[str]) -> str:
        outside = posixpath.normpath(posixpath.join(folder, link[2])).startswith("..")
        return link[1] if outside else link[0]

    return LINK.sub(inside, markdown)
