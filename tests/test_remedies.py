"""Every error that ends a service says where it happened, and how to recover; and which test has done so."""

from __future__ import annotations

import ast
import tomllib
from functools import cache
from pathlib import Path

import pytest

from tests.stops import ROOT, Site, called_name, sites, sites_of, source_files

Proof = dict[str, str]

_DECODERS = (
    "EpochBuilder names the table, where the epoch ends, and the command that reads it again; snapshots likewise"
)

LOCATED = {
    "datafingerprint/charsets/decoding.py": _DECODERS,
    "datafingerprint/column_types.py": "mysql_definition names the table and the ways to leave the column out",
    "datafingerprint/binlog/cells.py": _DECODERS,
    "datafingerprint/binlog/compressed.py": _DECODERS,
    "datafingerprint/binlog/images.py": _DECODERS,
    "datafingerprint/binlog/json_binary.py": _DECODERS,
    "datafingerprint/binlog/values.py": _DECODERS,
    "datafingerprint/binlog/table_map.py": "parse_table_map names the place in the binlog",
}
"""Files whose errors are caught and raised again with place and remedy, and by whom."""

NAMES_ITSELF = frozenset({"ConfigError", "TableDamageError"})
"""Kinds whose text names the place itself: a setting, an option, an argument; the object that is damaged."""


def _lacking(call: ast.Call) -> list[str]:
    """Which of the two keywords a call lacks, or gives as an empty text."""
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if None in given:
        return []
    wanted = ("remedy",) if called_name(call) in NAMES_ITSELF else ("where", "remedy")
    return [name for name in wanted if name not in given or _is_empty(given[name])]


def _is_empty(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and not value.value


def _faults(path: Path) -> list[str]:
    return [
        f"{site.file}:{site.call.lineno} {site.words[:60]} lacks {' and '.join(lacking)}"
        for site in sites(path)
        if (lacking := _lacking(site.call))
    ]


def test_every_stop_has_a_place_and_a_remedy() -> None:
    files = [path for path in source_files() if path.relative_to(ROOT).as_posix() not in LOCATED]
    faults = [fault for path in files for fault in _faults(path)]
    assert not faults, "\n".join(faults)


def test_what_is_left_to_others_is_still_there() -> None:
    assert not [name for name in LOCATED if not _faults(ROOT / name)]


@pytest.mark.parametrize(
    ("text", "lacking"),
    [
        ("raise SourceError('x', where='y', remedy='z')", []),
        ("raise SourceError('x', where=y, remedy=f'{z}')", []),
        ("raise errors.LakeError('x', where='y')", ["remedy"]),
        ("yield StateError('x', where='', remedy='')", ["where", "remedy"]),
        ("raise WireError('x')", ["where", "remedy"]),
        ("raise ConfigError('x')", ["remedy"]),
    ],
)
def test_the_look_itself_finds_what_is_missing(text: str, lacking: list[str]) -> None:
    (site,) = sites_of(f"def f():\n    {text}\n", "f.py")
    assert _lacking(site.call) == lacking


def _proofs() -> dict[tuple[str, str], Proof]:
    document = tomllib.loads((ROOT / "tests" / "stops.toml").read_text(encoding="utf-8"))
    return {(file, words): proof for file, entries in document.items() for words, proof in entries.items()}


def _all_sites() -> list[Site]:
    return [site for path in source_files() for site in sites(path)]


@cache
def _tests_of(file: str) -> frozenset[str]:
    """The names of all tests of a file."""
    path = ROOT / file
    if not path.is_file():
        return frozenset()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


def _is_test(name: str) -> bool:
    file, _, function = name.partition("::")
    return function in _tests_of(file)


def _fault(proof: Proof) -> str:
    """What is wrong with an entry; empty if nothing is."""
    keys = set(proof)
    if keys not in ({"followed"}, {"provoked", "because"}, {"not_provoked"}):
        return f"has {sorted(keys)}"
    if not all(proof.values()):
        return "has an empty text"
    unknown = [proof[key] for key in ("followed", "provoked") if key in proof and not _is_test(proof[key])]
    return f"names no test: {unknown[0]}" if unknown else ""


def test_every_raise_site_of_a_stop_is_in_the_list_and_nothing_else_is() -> None:
    there, listed = {(site.file, site.words) for site in _all_sites()}, set(_proofs())
    assert not there - listed, "add these to tests/stops.toml"
    assert not listed - there, "remove these from tests/stops.toml, or correct their words"


def test_every_entry_names_a_test_that_exists_or_says_why_there_is_none() -> None:
    assert {site: fault for site, proof in _proofs().items() if (fault := _fault(proof))} == {}


def test_the_page_of_limits_counts_the_proofs_as_they_are() -> None:
    proofs = list(_proofs().values())
    followed, provoked, neither = (
        sum(key in proof for proof in proofs) for key in ("followed", "provoked", "not_provoked")
    )
    said = " ".join((ROOT / "docs/limits.md").read_text(encoding="utf-8").split())
    assert f"Of {len(proofs)}, the tests follow the remedy of {followed} and provoke {provoked} more." in said
    assert f"{neither} cannot be provoked." in said


@pytest.mark.parametrize(
    ("proof", "fault"),
    [
        ({"followed": "tests/test_remedies.py::test_every_stop_has_a_place_and_a_remedy"}, ""),
        ({"followed": "tests/test_remedies.py::test_nothing"}, "names no test: tests/test_remedies.py::test_nothing"),
        ({"followed": "tests/nowhere.py::test_x"}, "names no test: tests/nowhere.py::test_x"),
        ({"provoked": "tests/test_remedies.py::test_every_stop_has_a_place_and_a_remedy"}, "has ['provoked']"),
        ({"not_provoked": ""}, "has an empty text"),
        ({}, "has []"),
    ],
)
def test_an_entry_that_proves_nothing_is_found(proof: Proof, fault: str) -> None:
    assert _fault(proof) == fault
