"""The playbooks' data: complete, typed, exclusive, and the same again after it was compiled."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sharr.standards import WrongPlaybook, load_standards, read_standards, standards_from_json, to_json

ROOT = Path(__file__).resolve().parent.parent
STANDARDS = load_standards(ROOT)
NAMES = [
    "AFSBP", "AISBP", "CIS120", "CIS140", "CIS300", "CIS500", "CT", "NIST800171", "NIST80053", "PCI321", "PCI401", "SC",
    "Tagging",
]  # fmt: skip

GOOD = {
    "name": "CIS999",
    "title": "A benchmark",
    "version": "9.9.9",
    "shape": "standard",
    "generator": [{"prefix": "benchmark/v/9.9.9/"}],
    "standards_arn": "standards/benchmark/v/9.9.9",
    "ids": {"1.1": ["IAM.9"], "2.1.2": ["S3.1", "S3.8"]},
    "source": "https://docs.aws.amazon.com/securityhub/",
}


def load(tmp_path: Path, data: object, folder: str = "cis999"):
    playbook = tmp_path / "playbooks" / folder
    playbook.mkdir(parents=True)
    (playbook / "playbook.yaml").write_text(data if isinstance(data, str) else yaml.safe_dump(data), "utf-8")
    return load_standards(tmp_path)


def test_controls_of_the_tagging_standard_are_served_by_no_other_playbook_also_once_compiled():
    for standards in (STANDARDS, standards_from_json(to_json(STANDARDS))):
        tags = standards["Tagging"].controls or ()
        assert len(tags) > 100
        assert {s.name for s in standards for control in tags if s.serves(control)} == {"Tagging"}
        assert standards["SC"].serves("DynamoDB.1")


def test_there_is_one_playbook_for_every_standard():
    assert [standard.name for standard in STANDARDS] == NAMES


@pytest.mark.parametrize("standard", STANDARDS, ids=lambda standard: standard.name)
def test_every_playbook_names_its_source_and_known_controls(standard):
    assert standard.source.startswith("https://docs.aws.amazon.com/")
    assert standard.controls is None or set(standard.controls) <= set(STANDARDS.controls)


def test_compiled_standards_are_the_same_standards(tmp_path):
    text = to_json(STANDARDS)
    path = tmp_path / "standards.json"
    path.write_text(text, "utf-8")

    assert standards_from_json(text) == STANDARDS
    assert to_json(standards_from_json(text)) == text
    assert read_standards(path) == STANDARDS
    assert read_standards(path) is read_standards(path)


def test_reading_compiled_standards_and_findings_needs_no_yaml():
    code = "import sys; sys.modules['yaml'] = None; import sharr.finding, sharr.standards, sharr.patterns"

    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"controls": 1, "standards": []}', '{"controls": [], "standards": [3]}']
)
def test_compiled_standards_that_are_something_else_are_refused(text):
    with pytest.raises(WrongPlaybook, match="compiled standards"):
        standards_from_json(text)


@pytest.mark.parametrize(
    ("standard", "own", "controls"),
    [
        ("CIS120", "1.1", {"CloudWatch.1", "IAM.20"}),
        ("CIS120", "3.3", {"CloudWatch.1"}),
        ("CIS140", "2.1.5", {"S3.1", "S3.8"}),
        ("CIS140", "2.1.5.1", {"S3.1"}),
        ("CIS300", "2.1.4.2", {"S3.8"}),
        ("CIS500", "2.1.4", {"S3.1", "S3.8"}),
        ("CIS500", "2.2.4.1", {"RDS.5", "RDS.15"}),
        ("CIS500", "2.3.1.2", {"EFS.1", "EFS.8"}),
        ("PCI321", "PCI.Lambda.1", {"Lambda.1"}),
    ],
)
def test_own_numbers_mean_the_controls_that_the_reference_lists(standard, own, controls):
    ids = STANDARDS[standard].ids
    assert ids
    assert set(ids[own]) == controls


@pytest.mark.parametrize(
    ("text", "control"),
    [("IAM.9", "IAM.9"), ("iam.9", "IAM.9"), ("CLOUDTRAIL.2", "CloudTrail.2"), ("IAM.999", None), ("\u0130AM.9", None)],
)
def test_a_control_is_found_in_any_case_and_named_in_its_own(text, control):
    assert STANDARDS.control(text) == control


def test_a_generator_of_another_version_is_another_standard():
    generator = "cis-aws-foundations-benchmark/v/1.4.0/1.10"

    assert [standard.name for standard in STANDARDS if standard.own_id(generator)] == ["CIS140"]


def test_a_complete_playbook_is_loaded(tmp_path):
    (standard,) = load(tmp_path, GOOD)

    assert (standard.id, standard.ids["2.1.2"], standard.controls) == (
        "cis999",
        ("S3.1", "S3.8"),
        ("IAM.9", "S3.1", "S3.8"),
    )
    assert standard.serves("S3.8")
    assert not standard.serves("S3.2")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        *(({name: None}, name) for name in ("name", "title", "version", "shape", "generator", "ids", "source")),
        ({"name": "CIS998"}, "name"),
        ({"title": "line\nline"}, "title"),
        ({"version": 9.9}, "version"),
        ({"shape": "ocsf"}, "shape"),
        ({"generator": []}, "generator"),
        ({"generator": [{"prefix": "no-slash"}]}, "generator"),
        ({"generator": [{"wildcard": "*"}]}, "generator"),
        ({"generator": [{"wildcard": "arn:**:x/*"}]}, "generator"),
        ({"generator": [{"suffix": "x/"}]}, "generator"),
        ({"standards_arn": "benchmark"}, "standards_arn"),
        ({"associated_standard": {"only": "standards/a/v/1.0.0"}}, "associated_standard"),
        ({"shape": "consolidated"}, "associated_standard"),
        ({"control_prefix": "ct"}, "control_prefix"),
        ({"ids": {}}, "ids"),
        ({"ids": {1.1: ["IAM.9"]}}, "ids"),
        ({"ids": {"1.1": ["IAM.999"]}}, "ids.1.1"),
        ({"ids": {"1.1": []}}, "ids.1.1"),
        ({"ids": {"1.1": ["S3.1", "S3.1"]}}, "ids.1.1"),
        ({"ids": "security-control-ids"}, "controls"),
        ({"controls": ["S3.1"]}, "controls"),
        ({"colour": "red"}, "colour"),
        ({"source": "somebody told me"}, "source"),
    ],
)
def test_a_wrong_playbook_is_refused_by_file_and_field(tmp_path, change, field):
    data = {key: value for key, value in {**GOOD, **change}.items() if value is not None}

    with pytest.raises(WrongPlaybook) as refused:
        load(tmp_path, data)

    assert str(refused.value).startswith(f"playbooks/cis999/playbook.yaml: {field}: ")


@pytest.mark.parametrize("content", ["", "- a list", "{not: [yaml"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path, content):
    with pytest.raises(WrongPlaybook, match=r"playbooks/cis999/playbook\.yaml"):
        load(tmp_path, content)


def test_two_playbooks_for_one_generator_are_refused(tmp_path):
    load(tmp_path, GOOD)

    with pytest.raises(WrongPlaybook, match="cis999"):
        load(tmp_path, {**GOOD, "name": "CIS9999"}, "cis9999")


def test_a_repository_without_playbooks_is_refused(tmp_path):
    with pytest.raises(WrongPlaybook, match="no playbook"):
        load_standards(tmp_path)


def test_every_control_has_what_the_docs_say_of_it():
    controls = json.loads((ROOT / "sharr/data/controls.json").read_text("utf-8"))

    for name, facts in controls.items():
        assert facts.keys() == {"title", "severity", "status", "resource_types", "standards", "source"}, name
        assert facts["severity"] in {"LOW", "MEDIUM", "HIGH", "CRITICAL"}, name
        assert facts["status"] in {"ACTIVE", "RETIRED"}, name
        assert set(facts["standards"]) <= set(NAMES), name


def test_no_control_is_in_the_tagging_standard_and_in_another_one():
    """What the two patterns over `security-control/` stand on: `anything-but` matches if one standard is another."""
    controls = json.loads((ROOT / "sharr/data/controls.json").read_text("utf-8"))

    assert not [
        name for name, facts in controls.items() if "Tagging" in facts["standards"] and len(facts["standards"]) > 1
    ]
