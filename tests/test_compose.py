"""The composed documents: complete, within limits, with the runtime's own behaviour; parts that clash are refused."""

from __future__ import annotations

import ast
import dataclasses
import dis
import inspect
import json
import re
import types
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sharr.arns import PARTITIONS
from sharr.compose import DOCUMENT_BYTES, CannotCompose, composed_script, document
from sharr.loader import ROOT, load_all
from sharr.remediation import Remediation
from sharr.runtime import contract, describing, driver, planning, runbook_apply, runbook_plan
from tests.harness import remediation_of

Json = dict[str, Any]
EVERY = pytest.mark.parametrize("remediation", load_all(), ids=lambda r: r.id)
PLAN = (("contract", "planning"), ("runbook_plan",))
APPLY = (("contract", "planning", "driver"), ("runbook_plan", "runbook_apply"))
SCRIPT = "def inspect(aws, target):\n    return {}\n\n\ndef plan(state, target):\n    return []\n"


def in_a_root(tmp_path: Path, script: str, **auxiliaries: str) -> tuple[Remediation, Path]:
    """Return a remediation with this script in a root of its own, beside the real runtime."""
    (tmp_path / "sharr").mkdir()
    (tmp_path / "sharr" / "runtime").symlink_to(ROOT / "sharr" / "runtime")
    for name, text in {"kms/test_it": script, **{f"auxiliary/{k}": v for k, v in auxiliaries.items()}}.items():
        folder = tmp_path / "ssm_documents" / name
        folder.mkdir(parents=True)
        (folder / "script.py").write_text(text)
    made = dataclasses.replace(remediation_of("kms/rotate_key"), id="kms/test_it", auxiliary=tuple(auxiliaries))
    return made, tmp_path


def composed(tmp_path: Path, script: str, **auxiliaries: str) -> str:
    remediation, root = in_a_root(tmp_path, script, **auxiliaries)
    return composed_script(remediation, *APPLY, root)


@cache
def namespace(remediation_id: str = "kms/rotate_key") -> Json:
    """Return the names that Apply's script of a document defines, as Automation would run it."""
    found: Json = {"__name__": "script"}
    exec(compile(composed_script(remediation_of(remediation_id), *APPLY), "script", "exec"), found)
    return found


# --- documents


@EVERY
def test_a_document_has_what_automation_wants_and_fits(remediation: Remediation) -> None:
    content = document(remediation)

    assert len(json.dumps(content)) <= DOCUMENT_BYTES
    assert content["schemaVersion"] == "0.3"
    assert content["assumeRole"] == {
        "Fn::Sub": f"arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role/sharr/{remediation.role_name}"
    }
    for step in content["mainSteps"]:
        assert step["timeoutSeconds"] <= 600
        handler = step["inputs"]["Handler"]
        assert handler in {n.name for n in ast.parse(step["inputs"]["Script"]).body if isinstance(n, ast.FunctionDef)}
        for output in step["outputs"]:
            assert output["Selector"] == f"$.Payload.{output['Name']}"


@EVERY
def test_a_document_names_no_partition_and_no_account(remediation: Remediation) -> None:
    text = json.dumps(document(remediation))

    assert "arn:aws:" not in text
    assert not re.search(r"(?<!code )(?<!'code': ')(?<![0-9a-f-])[0-9]{12}(?![0-9a-f])", text)
    payload = document(remediation)["mainSteps"][0]["inputs"]["InputPayload"]
    assert payload["partition"] == {"Ref": "AWS::Partition"}


@EVERY
def test_variables_of_automation_stand_only_where_they_are_meant(remediation: Remediation) -> None:
    content = document(remediation)
    known = set(content["parameters"]) | {"global:ACCOUNT_ID", "global:REGION", "Plan.record"}

    for step in content["mainSteps"]:
        assert "{{" not in step["inputs"]["Script"]
        found = set(re.findall(r"\{\{ ([A-Za-z:_.]+) \}\}", json.dumps(step["inputs"]["InputPayload"])))
        assert found <= known | {"Apply.outcome", "Apply.note"}


@EVERY
def test_scripts_need_the_standard_library_and_what_automation_has(remediation: Remediation) -> None:
    for step in document(remediation)["mainSteps"]:
        for node in ast.walk(ast.parse(step["inputs"]["Script"], feature_version=(3, 11))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.split(".")[0] in {
                    "__future__", "base64", "boto3", "botocore", "collections", "datetime", "fnmatch", "functools",
                    "hashlib", "ipaddress", "itertools", "jmespath", "json", "re", "time", "types", "typing", "uuid",
                    "zlib",
                }, name  # fmt: skip


@EVERY
def test_a_script_does_in_its_document_what_it_does_in_the_function(remediation: Remediation) -> None:
    """It stands there without comments, docstrings and annotations."""
    in_document: Json = {"__name__": "document"}
    exec(compile(composed_script(remediation, *APPLY), remediation.id, "exec"), in_document)
    source = ast.parse((ROOT / "ssm_documents" / remediation.id / "script.py").read_text())
    script: Json = {"__name__": "script"}
    # Lines as the composer breaks them: which jumps the compiler makes depends on them.
    exec(compile(ast.unparse(source), remediation.id, "exec"), script)
    for name, value in script.items():
        if isinstance(value, types.FunctionType) and value.__module__ == script["__name__"]:
            assert instructions(in_document[name].__code__) == instructions(value.__code__), name
            assert in_document[name].__defaults__ == value.__defaults__, name
        elif isinstance(value, str | int | tuple | dict | list | frozenset) and not name.startswith("__"):
            assert in_document[name] == value, name


def test_the_same_remediation_gives_the_same_document() -> None:
    assert document(remediation_of("s3/require_tls")) == document(remediation_of("s3/require_tls"))


# --- what the resource input takes


@EVERY
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_document_takes_every_id_that_the_function_takes(remediation: Remediation, data: st.DataObject) -> None:
    partition = data.draw(st.sampled_from(sorted(PARTITIONS)))
    region = data.draw(st.sampled_from(sorted(PARTITIONS[partition].regions)))
    form = data.draw(st.sampled_from(remediation.resources))
    pattern = form.compiled(partition, region, "222222222222")
    resource_id = data.draw(st.from_regex(pattern, fullmatch=True))

    allowed = document_of(remediation.id)["parameters"]["ResourceId"]["allowedPattern"]

    assert re.compile(allowed, re.ASCII).fullmatch(resource_id), (allowed, resource_id)


@EVERY
def test_the_document_takes_no_other_resource_and_its_pattern_is_javas(remediation: Remediation) -> None:
    allowed = document_of(remediation.id)["parameters"]["ResourceId"]["allowedPattern"]

    assert "(?P" not in allowed
    assert not re.search(r"(?<!\\)\{[a-z_]+\}", allowed), "a placeholder is left"
    others = ["", "x", "*", "i-0123456789"]
    if remediation.id != "tags/add_required_tags":  # which takes any ARN; its script knows each control's own
        others += ["arn:aws:events:us-east-1:222222222222:event-bus/bus", "arn:aws:s3:::a/b/../c"]
    for other in others:
        assert not re.compile(allowed, re.ASCII).fullmatch(other), other


@cache
def document_of(remediation_id: str) -> Json:
    return document(remediation_of(remediation_id))


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        (
            "AttemptId",
            ["", "a2f1c5f0-0000-5000-8000-000000000001"],
            ["x", "a2f1c5f0", "A2F1C5F0-0000-5000-8000-000000000001"],
        ),
        ("Parameters", ["", "{}", '{"days": 90}'], ["[]", "{", '{"a": "\u00fc"}', "{" + "x" * 501 + "}"]),
    ],
)
def test_the_other_inputs_take_what_they_should(name: str, good: list[str], bad: list[str]) -> None:
    pattern = re.compile(document_of("kms/rotate_key")["parameters"][name]["allowedPattern"])

    assert all(pattern.fullmatch(text) for text in good)
    assert not any(pattern.fullmatch(text) for text in bad)


@EVERY
def test_a_control_must_be_chosen_where_there_are_several(remediation: Remediation) -> None:
    control = document_of(remediation.id)["parameters"]["Control"]

    assert control["allowedValues"] == list(remediation.controls)
    assert ("default" in control) is (len(remediation.controls) == 1)


# --- the runtime in a document


def instructions(code: types.CodeType) -> list[Any]:
    """Return what a function does, without its lines, docstring and the annotations of functions in it."""
    found: list[Any] = []
    for one in dis.get_instructions(code):
        if one.opname == "MAKE_FUNCTION" and (one.arg or 0) & 4:
            _take_annotations_away(found)
        if one.opname in ("MAKE_FUNCTION", "RESUME", "CACHE", "EXTENDED_ARG"):
            continue
        value = instructions(one.argval) if isinstance(one.argval, types.CodeType) else one.argval
        if one.opname.startswith(("JUMP", "POP_JUMP", "FOR_ITER", "SEND")) or "JUMP" in one.opname:
            value = None  # offsets
        found.append((one.opname, value))
    return found


def _take_annotations_away(found: list[Any]) -> None:
    """The last tuple of an even number of texts before a function is made: names and annotations in turn."""
    for index in reversed(range(len(found))):
        name, value = found[index]
        if name == "LOAD_CONST" and isinstance(value, tuple) and len(value) % 2 == 0:
            del found[index]
            return
    raise AssertionError("a function with annotations, and none before it")


MODULES = (contract, planning, driver, runbook_plan, runbook_apply)
FUNCTIONS = [
    pytest.param(module, name, id=f"{module.__name__.rsplit('.', 1)[1]}.{name}")
    for module in MODULES
    for name, value in vars(module).items()
    if inspect.isfunction(value) and value.__module__ == module.__name__
]


@pytest.mark.parametrize(("module", "name"), FUNCTIONS)
def test_each_function_of_the_runtime_does_the_same_without_its_comments(module: types.ModuleType, name: str) -> None:
    original, bare = getattr(module, name), namespace()[name]

    assert instructions(bare.__code__) == instructions(original.__code__)
    assert (bare.__defaults__, bare.__kwdefaults__ and sorted(bare.__kwdefaults__)) == (
        original.__defaults__,
        original.__kwdefaults__ and sorted(original.__kwdefaults__),
    )
    assert bare.__doc__ is None


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__.rsplit(".", 1)[1])
def test_each_constant_and_class_of_the_runtime_is_there(module: types.ModuleType) -> None:
    for name, value in vars(module).items():
        if name.isupper() and name != "REMEDIATION":
            assert namespace()[name] == value
        elif inspect.isclass(value) and value.__module__ == module.__name__:
            bare = namespace()[name]
            assert {n for n in vars(bare) if not n.startswith("__")} == {
                n for n in vars(value) if not n.startswith("__")
            }
            assert [b.__name__ for b in bare.__mro__] == [b.__name__ for b in value.__mro__]


def test_describing_is_not_in_a_document() -> None:
    assert not {
        n for n, v in vars(describing).items() if inspect.isfunction(v) and v.__module__ == describing.__name__
    } & set(namespace())


def test_a_default_of_the_remediation_is_the_runbooks() -> None:
    assert namespace()["parameters_of"]("KMS.4", {}) == {"rotationPeriodDays": 365}
    assert namespace()["parameters_of"]("KMS.4", {"rotationPeriodDays": 90}) == {"rotationPeriodDays": 90}
    assert namespace()["REMEDIATION"]["settings"] == remediation_of("kms/rotate_key").settings


@EVERY
def test_a_runbook_makes_the_target_that_the_function_makes_or_refuses_it(remediation: Remediation) -> None:
    target_of = namespace(remediation.id)["target_of"]
    payload = {
        "partition": "aws", "account": "222222222222", "region": "eu-west-1", "Control": remediation.controls[0],
        "ResourceId": "arn:aws:sqs:eu-west-1:222222222222:queue\n",
    }  # fmt: skip

    with pytest.raises(ValueError, match="is not a resource of this account and Region"):
        target_of(payload)


# --- what is refused


@pytest.mark.parametrize(
    "line",
    [
        "def remediate():\n    return 1",
        "class Aws:\n    pass",
        "READS = ()",
        "THROTTLED: tuple = ()",
        "FIRST, RETRY_SECONDS = 1, 2",
        "[VERIFY_PAUSES_SECONDS, *REST] = 1, 2",
        "def plan_step():\n    return 1",
        "Script = 1",
        "REMEDIATION = {}",
        "class SimpleNamespace:\n    pass",
    ],
)
def test_a_name_that_the_runtime_has_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(CannotCompose, match=r"kms/test_it: .* both define "):
        composed(tmp_path, f"{SCRIPT}\n\n{line}\n")


@pytest.mark.parametrize("line", ['TEXT = "{{ global:REGION }}"', 'TEXT = f"{{x}}"'])
def test_what_automation_would_read_as_a_variable_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(CannotCompose, match=r"kms/test_it: Automation would read a variable in: .*\{\{"):
        composed(tmp_path, f"{SCRIPT}\n\n{line}\nMORE = 1\n")


def test_braces_apart_are_no_variable(tmp_path: Path) -> None:
    assert "NESTED = {1: {2: {}}}" in composed(tmp_path, f"{SCRIPT}\n\nNESTED = {{1: {{2: {{}}}}}}\n")


def test_a_document_that_is_too_large_is_refused(tmp_path: Path) -> None:
    remediation, root = in_a_root(tmp_path, f'{SCRIPT}\n\nTEXT = "{"x" * DOCUMENT_BYTES}"\n')

    with pytest.raises(
        CannotCompose, match=f"kms/test_it: the document has [0-9]+ bytes, {DOCUMENT_BYTES} are allowed"
    ):
        document(remediation, root)


HELPER = "NAME = '{name}'\n\n\ndef look(aws, target):\n    return NAME\n\n\ndef make(facts, target):\n    return []\n"


def test_auxiliaries_with_the_same_names_do_not_meet(tmp_path: Path) -> None:
    text = composed(tmp_path, SCRIPT, one=HELPER.format(name="one"), two=HELPER.format(name="two"))
    found: Json = {"__name__": "script"}
    exec(compile(text, "script", "exec"), found)

    auxiliaries = found["Script"].auxiliaries
    assert {name: helper.look(None, None) for name, helper in auxiliaries.items()} == {"one": "one", "two": "two"}
    assert "NAME" not in found


def test_a_text_of_several_lines_survives_the_indenting_of_an_auxiliary(tmp_path: Path) -> None:
    helper = HELPER.format(name="one") + '\n\nTEXT = """a\n  b"""\n'

    assert "TEXT = 'a\\n  b'" in composed(tmp_path, SCRIPT, one=helper)


def test_imports_stand_once_and_none_of_our_own(tmp_path: Path) -> None:
    text = composed(tmp_path, f"import json\nfrom sharr.runtime.contract import call\n\n{SCRIPT}")

    assert text.count("\nimport json\n") == 1
    assert "sharr.runtime" not in text


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"deleteOrignal": True}, "there is no parameter deleteOrignal, only .*deleteOriginal"),
        ({"deleteOriginal": "false"}, "deleteOriginal is 'false': wanted .*boolean"),
        ({"deleteOriginal": 1}, "deleteOriginal is 1"),
        ({"deleteOriginal": None}, "deleteOriginal is None"),
        ({"kmsKeyId": "alias/with spaces"}, "kmsKeyId is 'alias/with spaces'"),
        ({"kmsKeyId": ["alias/a"]}, "kmsKeyId is "),
    ],
)
def test_a_value_that_a_person_types_into_a_runbook_is_taken_as_a_function_takes_it_or_refused(
    given: Json, why: str
) -> None:
    """A text is true in Python, "false" too: a switch that deletes would be on."""
    code = composed_script(remediation_of("rds/encrypt_snapshot"), *APPLY)
    scope: Json = {"__name__": "runbook"}
    exec(compile(code, "runbook", "exec"), scope)

    assert scope["parameters_of"]("RDS.4", {"deleteOriginal": True})["deleteOriginal"] is True
    with pytest.raises(ValueError, match=why):
        scope["parameters_of"]("RDS.4", given)


@EVERY
def test_a_runbook_takes_every_value_that_a_function_hands_it(remediation: Remediation) -> None:
    scope: Json = {"__name__": "runbook"}
    exec(compile(composed_script(remediation, *APPLY), "runbook", "exec"), scope)
    for control in remediation.controls:
        handed = json.loads(json.dumps({p.name: p.value(control, {}, {}) for p in remediation.parameters}))

        assert scope["parameters_of"](control, handed) == handed
