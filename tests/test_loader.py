"""The loader: a folder that is wrong is refused with its file, the field, the value and what was wanted."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from sharr.catalogue import Catalogue, catalogue_from_json
from sharr.loader import ROOT, WrongFolder, auxiliaries, folders, load, load_all, load_auxiliary
from sharr.remediation import remediation_from_json
from sharr.standards import load_standards

Json = dict[str, Any]
GOOD: Json = {
    "title": "Rotate the key",
    "controls": ["KMS.4"],
    "resources": [
        {"type": "AwsKmsKey", "pattern": "arn:{partition}:kms:{region}:{account}:key/(?P<key_id>[0-9a-f-]{36})"}
    ],
    "scope": "regional",
    "places": ["lambda", "runbook"],
    "parameters": {
        "days": {"type": "integer", "about": "Days between rotations", "default": 365, "finding": "rotation"}
    },
    "permissions": {
        "read": {"kms:DescribeKey": "arn:{partition}:kms:{region}:{account}:key/{key_id}"},
        "write": {"kms:EnableKeyRotation": "*"},
    },
    "risk": {
        "disruption": "none",
        "reversible": "full",
        "may_break": "Nothing.",
        "monthly_cost": "None.",
        "cloudformation": "EnableKeyRotation: true",
        "terraform": "enable_key_rotation = true",
    },
    "note": "Rotation is on",
    "avoids": "Keys that cannot be rotated are no error there.",
}
SCRIPT = "def inspect(aws, target): ...\n\n\ndef plan(state, target): ...\n"


def folder(root: Path, data: Any = GOOD, name: str = "kms/rotate_key", script: str | None = SCRIPT) -> Path:
    """Write a remediation's folder; a text is written as it is."""
    path = root / name
    path.mkdir(parents=True)
    (path / "remediation.yaml").write_text(data if isinstance(data, str) else yaml.safe_dump(data))
    if script is not None:
        (path / "script.py").write_text(script)
    return path


def auxiliary(root: Path, data: Any, name: str = "log_bucket") -> Path:
    path = root / "auxiliary" / name
    path.mkdir(parents=True)
    (path / "auxiliary.yaml").write_text(yaml.safe_dump(data))
    (path / "script.py").write_text("def look(aws, target): ...\n\n\ndef make(facts, target): ...\n")
    return path


def with_(*path: str, to: Any) -> Json:
    """Return the good data with one field changed."""
    data = copy.deepcopy(GOOD)
    where = data
    for key in path[:-1]:
        where = where[key]
    where[path[-1]] = to
    return data


def without(*path: str) -> Json:
    data = copy.deepcopy(GOOD)
    where = data
    for key in path[:-1]:
        where = where[key]
    del where[path[-1]]
    return data


# --- what is read


def test_a_good_folder_is_read_and_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    found = load(folder(tmp_path))

    assert (found.id, found.slug) == ("kms/rotate_key", "kms-rotate-key")
    assert (found.role_name, found.document_name) == ("sharr-kms-rotate-key", "SHARR-kms-rotate-key")
    assert (found.regions, found.settles, found.lease, found.auxiliary) == ("own", 0, None, ())
    assert found.pending == {"first": 60, "every": 300, "at_most": 86_400}
    (read,) = found.read
    assert (read.action, read.operations) == ("kms:DescribeKey", ("describe_key",))
    assert found.undo == ()
    (days,) = found.parameters
    assert (days.default, days.finding) == (365, ("rotation",))


@pytest.mark.parametrize(("text", "wanted"), [("0s", 0), ("90s", 90), ("5m", 300), ("2h", 7200), ("8d", 691_200)])
def test_times_have_a_unit(tmp_path: Path, text: str, wanted: int) -> None:
    assert load(folder(tmp_path, GOOD | {"settles": text})).settles == wanted


def test_a_permission_says_for_which_calls_it_is_and_under_which_condition(tmp_path: Path) -> None:
    spec = [
        {"resource": "*", "for": "list_keys", "because": "no call shows it", "when": {"StringEquals": {"a": "b"}}},
        {"resource": ["arn:a", "arn:b"], "for": ["get_key", "list_keys"], "only": {"type": ["AwsKmsKey"]}},
    ]
    found = load(folder(tmp_path, with_("permissions", "read", to={"kms:ListKeys": spec}))).read

    assert [(p.on, p.operations, p.because, dict(p.when), p.only) for p in found] == [
        (("*",), ("list_keys",), "no call shows it", {"StringEquals": {"a": "b"}}, {}),
        (("arn:a", "arn:b"), ("get_key", "list_keys"), None, {}, {"type": ("AwsKmsKey",)}),
    ]


def test_an_auxiliary_adds_its_permissions_once(tmp_path: Path) -> None:
    helper = {"read": {"kms:DescribeKey": GOOD["permissions"]["read"]["kms:DescribeKey"], "s3:ListBucket": "*"}}
    auxiliary(tmp_path, {"title": "A bucket", "permissions": helper | {"write": {"s3:CreateBucket": "*"}}})

    found = load(folder(tmp_path, GOOD | {"auxiliary": ["log_bucket"]}))

    assert [p.action for p in found.read] == ["kms:DescribeKey", "s3:ListBucket"]
    assert [p.action for p in found.write] == ["kms:EnableKeyRotation", "s3:CreateBucket"]


def test_the_code_changes_with_the_script_and_with_its_auxiliaries(tmp_path: Path) -> None:
    helper = auxiliary(tmp_path, {"title": "A bucket", "permissions": {"read": {"s3:ListBucket": "*"}}})
    path = folder(tmp_path, GOOD | {"auxiliary": ["log_bucket"]})
    codes = [load(path).code, load(path).code]
    (path / "script.py").write_text(SCRIPT + "# changed\n")
    codes.append(load(path).code)
    (helper / "script.py").write_text("def look(): ...\n")
    codes.append(load(path).code)

    assert len(codes) == 4
    assert codes[0] == codes[1]
    assert len(set(codes)) == 3


def test_folders_are_found_in_order_and_auxiliaries_are_none_of_them(tmp_path: Path) -> None:
    auxiliary(tmp_path, {"title": "A bucket", "permissions": {"read": {"s3:ListBucket": "*"}}})
    for name in ("s3/require_tls", "kms/rotate_key"):
        folder(tmp_path, name=name)
    (tmp_path / "auxiliary" / "log_bucket" / "remediation.yaml").write_text("{}")

    assert [f"{f.parent.name}/{f.name}" for f in folders(tmp_path)] == ["kms/rotate_key", "s3/require_tls"]
    assert [a.name for a in auxiliaries(tmp_path)] == ["log_bucket"]


def test_two_folders_may_not_serve_one_control(tmp_path: Path) -> None:
    for name in ("kms/rotate_key", "kms/rotate_key_too"):
        folder(tmp_path, name=name)

    with pytest.raises(WrongFolder, match=r"kms/rotate_key_too: controls: KMS\.4 is served by kms/rotate_key already"):
        load_all(tmp_path)


def test_every_remediation_comes_back_from_the_compiled_catalogue_as_it_was() -> None:
    catalogue = Catalogue.of(load_all(), load_standards(ROOT), "1")

    again = catalogue_from_json(catalogue.to_json())

    assert list(again.remediations.values()) == list(catalogue.remediations.values())
    assert again.by_control == catalogue.by_control
    assert again.to_json() == catalogue.to_json()
    for remediation in load_all():
        assert remediation_from_json(remediation.to_json()) == remediation


# --- what is refused

LONG = "x" * 161
RISK = r"risk\."
WRONG: dict[str, tuple[Any, str]] = {
    "no YAML": ("a: [", "is not YAML"),
    "not a mapping": ("[1, 2]", "document: .* wanted a mapping"),
    "empty": ("", "document: None: wanted a mapping"),
    "an unknown field": (GOOD | {"titel": "x"}, "titel: 'x': wanted one of .*title"),
    "no title": (without("title"), "title: None: wanted a text"),
    "a blank title": (GOOD | {"title": " "}, "title: ' ': wanted a text"),
    "a title that is a number": (GOOD | {"title": 7}, "title: 7: wanted a text"),
    "no controls": (without("controls"), "controls: None: wanted a list"),
    "an empty list of controls": (GOOD | {"controls": []}, r"controls: \[\]: wanted a list with at least one"),
    "one control without a list": (GOOD | {"controls": "KMS.4"}, "controls: 'KMS.4': wanted a list"),
    "a control in small letters": (GOOD | {"controls": ["kms.4"]}, r"controls: 'kms\.4': wanted like S3\.5"),
    "a control that is a number": (GOOD | {"controls": [3.5]}, r"controls: 3\.5: wanted like S3\.5"),
    "a control with a line break": (GOOD | {"controls": ["KMS.4\n"]}, r"controls: 'KMS\.4\\n': wanted"),
    "no resources": (without("resources"), "resources: None: wanted a list"),
    "a resource that is a text": (GOOD | {"resources": ["AwsKmsKey"]}, "resources: 'AwsKmsKey': wanted a mapping"),
    "a resource without type": (GOOD | {"resources": [{"pattern": "a"}]}, "resources.type: None: wanted a text"),
    "a resource without pattern": (GOOD | {"resources": [{"type": "A"}]}, "resources.pattern: None: wanted a text"),
    "a pattern that is none": (
        GOOD | {"resources": [{"type": "A", "pattern": "(a"}]},
        r"resources\.pattern: '\(a': missing \)",
    ),
    "a pattern with digits of every script": (
        GOOD | {"resources": [{"type": "A", "pattern": "\\d+"}]},
        r"resources\.pattern: .*: wanted \[0-9\]",
    ),
    "a group that SSM would not know": (
        GOOD | {"resources": [{"type": "A", "pattern": "(?P<key1>[0-9]+)"}]},
        r"resources\.pattern: .*: wanted names of groups in small letters",
    ),
    "no scope": (without("scope"), "scope: None: wanted one of regional, global"),
    "another scope": (GOOD | {"scope": "Regional"}, "scope: 'Regional': wanted one of"),
    "a lease that is a number": (GOOD | {"lease": 7}, "lease: 7: wanted a text"),
    "no places": (without("places"), "places: None: wanted a list"),
    "another place": (GOOD | {"places": ["lambda", "laptop"]}, "places: 'laptop': wanted one of lambda, runbook"),
    "other Regions": (GOOD | {"regions": "all"}, "regions: 'all': wanted one of own"),
    "a time without unit": (GOOD | {"settles": 60}, "settles: 60: wanted a time like 90s"),
    "a time with another unit": (GOOD | {"settles": "1w"}, "settles: '1w': wanted a time"),
    "a negative time": (GOOD | {"settles": "-1s"}, "settles: '-1s': wanted a time"),
    "pending that is a time": (GOOD | {"pending": "5m"}, "pending: '5m': wanted a mapping"),
    "an unknown pending": (GOOD | {"pending": {"last": "5m"}}, "pending.last: '5m': wanted one of at_most, every"),
    "a pending time of no form": (GOOD | {"pending": {"every": "often"}}, "pending.every: 'often': wanted a time"),
    "auxiliary as a text": (GOOD | {"auxiliary": "log_bucket"}, "auxiliary: 'log_bucket': wanted a list"),
    "an auxiliary that is not there": (GOOD | {"auxiliary": ["gone"]}, r"auxiliary/gone/auxiliary\.yaml: is missing"),
    "no risk": (without("risk"), "risk.disruption: None: wanted a text"),
    "a risk that is a text": (GOOD | {"risk": "none"}, "risk: 'none': wanted a mapping"),
    "a risk with one field more": (with_("risk", "cost", to="1"), "risk.cost: '1': wanted one of cloudformation"),
    "another disruption": (with_("risk", "disruption", to="none?"), r"risk\.disruption: 'none\?': wanted"),
    "reversible without why": (with_("risk", "reversible", to="partly"), "risk.reversible: 'partly': wanted full"),
    "reversible of another kind": (with_("risk", "reversible", to="fully"), "risk.reversible: 'fully': wanted full"),
    **{
        f"no {name}": (without("risk", name), f"{RISK}{name}: None: wanted a text")
        for name in ("reversible", "may_break", "monthly_cost", "cloudformation", "terraform")
    },
    "no note": (without("note"), "note: None: wanted a text"),
    "a long note": (GOOD | {"note": LONG}, "note: 'xxx.*: wanted at most 160 characters"),
    "a note with a full stop": (
        GOOD | {"note": "Done."},
        r"note: 'Done\.': wanted at most 160 characters, no full stop",
    ),
    "no permissions": (without("permissions"), "permissions.read: None: wanted at least one action"),
    "permissions that are a list": (GOOD | {"permissions": ["a"]}, r"permissions: \['a'\]: wanted a mapping"),
    "permissions of another kind": (with_("permissions", "reads", to={}), "permissions.reads: .*: wanted one of read"),
    "nothing to read": (with_("permissions", "read", to={}), r"permissions\.read: \{\}: wanted at least one action"),
    "actions in a list": (
        with_("permissions", "read", to=["kms:DescribeKey"]),
        r"permissions\.read: \['kms:DescribeKey'\]: wanted a mapping",
    ),
    "every action of a service": (
        with_("permissions", "read", to={"kms:*": "*"}),
        r"permissions\.read\.kms:\*: 'kms:\*': wanted an IAM action",
    ),
    "an action without a service": (
        with_("permissions", "write", to={"EnableKeyRotation": "*"}),
        r"permissions\.write\.EnableKeyRotation: 'EnableKeyRotation': wanted an IAM action",
    ),
    "an action without a resource": (
        with_("permissions", "read", to={"kms:DescribeKey": None}),
        r"permissions\.read\.kms:DescribeKey: None: wanted resource ARNs or \*",
    ),
    "a resource that is a number": (
        with_("permissions", "read", to={"kms:DescribeKey": [7]}),
        r"permissions\.read\.kms:DescribeKey: \[7\]: wanted resource ARNs",
    ),
    "a permission with an unknown field": (
        with_("permissions", "read", to={"kms:DescribeKey": {"resource": "*", "if": "a"}}),
        r"permissions\.read\.kms:DescribeKey\.if: 'a': wanted one of because, for, only, resource, when",
    ),
    "a condition that is a text": (
        with_("permissions", "read", to={"kms:DescribeKey": {"resource": "*", "when": "always"}}),
        r"permissions\.read\.kms:DescribeKey\.when: 'always': wanted a mapping",
    ),
    "calls that are a number": (
        with_("permissions", "read", to={"kms:DescribeKey": {"resource": "*", "for": 7}}),
        r"permissions\.read\.kms:DescribeKey\.for: 7: wanted names of calls",
    ),
    "parameters in a list": (GOOD | {"parameters": ["days"]}, r"parameters: \['days'\]: wanted a mapping"),
    "a parameter that is a number": (GOOD | {"parameters": {"days": 7}}, r"parameters\.days: 7: wanted a mapping"),
    "a parameter whose name is a number": (
        GOOD | {"parameters": {7: {}}},
        r"parameters\.7: 7: wanted letters and digits",
    ),
    "a parameter's name": (
        GOOD | {"parameters": {"max_days": {}}},
        r"parameters\.max_days: 'max_days': wanted letters and digits",
    ),
    "a parameter's type": (
        with_("parameters", "days", "type", to="int"),
        r"parameters\.days\.type: 'int': wanted one of integer",
    ),
    "a parameter without about": (
        without("parameters", "days", "about"),
        r"parameters\.days\.about: None: wanted a text",
    ),
    "a parameter with an unknown field": (
        with_("parameters", "days", "max", to=7),
        r"parameters\.days\.max: 7: wanted one of about",
    ),
    "a default of another type": (
        with_("parameters", "days", "default", to="365"),
        r"parameters\.days\.default: '365': wanted a value of its type",
    ),
    "a default beyond the limits": (
        with_("parameters", "days", to=GOOD["parameters"]["days"] | {"maximum": 90}),
        r"parameters\.days\.default: 365: wanted a value of its type",
    ),
    "nothing avoided": (without("avoids"), "avoids: None: wanted a text"),
    "a default for another control": (
        with_("parameters", "days", "by_control", to={"S3.5": 1}),
        r"parameters\.days\.by_control\.S3\.5: 1: wanted one of KMS\.4",
    ),
    "defaults in a list": (
        with_("parameters", "days", "by_control", to=[1]),
        r"parameters\.days\.by_control: \[1\]: wanted a mapping",
    ),
    "a parameter's pattern that is none": (
        with_("parameters", "days", "pattern", to="(a"),
        r"parameters\.days\.pattern: '\(a': wanted a pattern",
    ),
    "a minimum that is a text": (
        with_("parameters", "days", "minimum", to="1"),
        r"parameters\.days\.minimum: '1': wanted an integer",
    ),
}


@pytest.mark.parametrize(("data", "wanted"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_field_is_refused_with_file_field_value_and_what_was_wanted(
    tmp_path: Path, data: Any, wanted: str
) -> None:
    path = folder(tmp_path, data)

    with pytest.raises(WrongFolder) as refused:
        load(path)

    assert re.search(wanted, str(refused.value)), refused.value
    assert str(refused.value).startswith(str(tmp_path))
    assert re.match(r"\S+/(remediation|auxiliary)\.yaml: ", str(refused.value))


@pytest.mark.parametrize("name", ["KMS/rotate_key", "kms/RotateKey", "kms/rotate-key", "kms/2_keys", "k/" + "x" * 41])
def test_a_folder_of_another_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(WrongFolder, match="wanted service/verb_object in lower case"):
        load(folder(tmp_path, name=name))


def test_a_folder_without_its_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongFolder, match=r"remediation\.yaml: is missing"):
        load(tmp_path / "kms" / "rotate_key")
    with pytest.raises(WrongFolder, match=r"script\.py: is missing"):
        load(folder(tmp_path, script=None))


def test_a_script_that_is_no_python_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongFolder, match=r"script\.py: is not Python"):
        load(folder(tmp_path, script="def inspect(:\n"))


AUXILIARY: Json = {"title": "A bucket", "permissions": {"read": {"s3:ListBucket": "*"}}}
Change = Callable[[Json], Json]


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"controls": ["S3.5"]}, "controls: .*: wanted one of about, permissions, roles, title"),
        ({"title": None}, "title: None: wanted a text"),
        ({"permissions": {}}, r"permissions\.read: None: wanted at least one action"),
        ({"roles": ["a"]}, r"roles: \['a'\]: wanted a mapping"),
    ],
)
def test_a_wrong_auxiliary_is_refused(tmp_path: Path, change: Json, wanted: str) -> None:
    path = auxiliary(tmp_path, AUXILIARY | change)

    with pytest.raises(WrongFolder, match=rf"auxiliary\.yaml: {wanted}"):
        load_auxiliary(path)
