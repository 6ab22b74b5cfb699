"""The member-flat stacks: the member stack's runbooks, for StackSets, which take no nesting, assets or transforms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sharr.loader import load_all
from stacks.member_flat import FIRST, PARTS, flat_of, part_of
from tests.stacks.assembly import Assembly


def documents_of(template: dict[str, Any]) -> dict[str, Any]:
    found = [r["Properties"] for r in template["Resources"].values() if r["Type"] == "AWS::SSM::Document"]
    return {each["Name"]: each for each in found}


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The member-flat templates with all runbooks, by stack, as text."""
    import app

    folder = tmp_path_factory.mktemp("flat") / "cdk.out"
    app.build(folder, flat="all").synth()
    return {p.name.split(".")[0]: p.read_text() for p in folder.glob("sharr-member-flat*.template.json")}


def test_by_default_there_is_one_stack_with_what_runs_in_runbooks_by_default(assembly: Assembly) -> None:
    assert [name for name in assembly.templates if name.startswith("member-flat")] == ["member-flat"]
    wanted = {r.document_name for r in load_all() if r.places[0] == "runbook"}
    assert documents_of(assembly["member-flat"]).keys() == wanted
    assert wanted


def test_all_runbooks_stand_once_as_in_the_member_stack(assembly: Assembly, everything: dict[str, str]) -> None:
    flat = [documents_of(json.loads(text)) for text in everything.values()]
    nested = [documents_of(t) for name, t in assembly.templates.items() if name.startswith("Documents")]

    assert sum(map(len, flat)) == sum(map(len, nested)) == len([r for r in load_all() if "runbook" in r.places])
    assert {n: d for docs in flat for n, d in docs.items()} == {n: d for docs in nested for n, d in docs.items()}


def test_stack_sets_take_them(everything: dict[str, str]) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stacksets-orgs-associate-stackset-with-org.html"""
    assert len(everything) == PARTS + 1
    for name, text in everything.items():
        template = json.loads(text)
        assert len(text.encode()) <= 900_000, f"{name}: more parts are needed (stacks/member_flat.py)"
        assert len(template["Resources"]) <= 450, name
        kinds = {r["Type"] for r in template["Resources"].values()}
        assert kinds <= {"AWS::SSM::Document", "AWS::Events::Rule"}, name
        assert "Transform" not in template
        assert "cdk-" not in text, name


def test_only_the_first_has_the_rule_and_needs_parameters(everything: dict[str, str]) -> None:
    for name, text in everything.items():
        template = json.loads(text)
        has_rule = "AWS::Events::Rule" in {r["Type"] for r in template["Resources"].values()}
        assert has_rule is (name == FIRST)
        assert set(template.get("Parameters", {})) == ({"SecHubAdminAccount", "HomeRegion"} if has_rule else set())


def test_where_a_runbook_stands_depends_on_itself_alone() -> None:
    remediations = load_all()
    all_of_them = flat_of(remediations, "all")

    for left_out in remediations[:5]:
        fewer = flat_of([r for r in remediations if r != left_out], "all")
        for name, group in fewer.items():
            assert group == [r for r in all_of_them[name] if r != left_out]
    assert {part_of(f"kms/verb_{n}") for n in range(300)} == set(range(1, PARTS + 1))


def test_what_is_wanted_with_all_is_on_top_of_the_default() -> None:
    """So that nobody has to delete a stack to get the others."""
    remediations = load_all()

    assert flat_of(remediations, "all")[FIRST] == flat_of(remediations, "default")[FIRST]


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    import app

    with pytest.raises(ValueError, match="flat is 'some': expected default or all"):
        app.build(tmp_path / "out", flat="some")
