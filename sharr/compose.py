"""
Makes the SSM Automation document of a remediation: driver, auxiliaries and script in one readable text, in three steps.

Sources: https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-action-executeScript.html,
https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_CreateDocument.html (64 KB a document)
"""

from __future__ import annotations

import ast
import json
import textwrap
from functools import cache
from pathlib import Path
from pprint import pformat
from typing import Any

from sharr.remediation import ANY_REGION, Remediation

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT_BYTES = 64 * 1024
LIMITS = ("minimum", "maximum", "pattern")
"""Of a parameter, as a runbook knows them."""
SCRIPT_SECONDS = 600


class CannotCompose(Exception):
    """The parts of a document do not fit together: the text says which and why."""


def document(remediation: Remediation, root: Path = ROOT) -> dict[str, Any]:
    """
    Return the content of the document, for CloudFormation: partition and account are left to Fn::Sub and Ref.

    Raises CannotCompose where parts use one name twice, hold `{{` (Automation would read a variable), or get too big.
    """
    plan_script = composed_script(remediation, ("contract", "planning"), ("runbook_plan",), root)
    apply_script = composed_script(
        remediation, ("contract", "planning", "driver"), ("runbook_plan", "runbook_apply"), root
    )
    about = f"{remediation.title} ({', '.join(remediation.controls)})"
    identity = {
        "account": "{{ global:ACCOUNT_ID }}",
        "region": "{{ global:REGION }}",
        "partition": {"Ref": "AWS::Partition"},
    }
    inputs = {name: f"{{{{ {name} }}}}" for name in ("ResourceId", "Control", "AttemptId", "Parameters")}
    content = {
        "schemaVersion": "0.3",
        "description": f"{about}. Risk: {remediation.risk.disruption}. {remediation.risk.may_break}",
        "assumeRole": {
            "Fn::Sub": f"arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role/sharr/{remediation.role_name}"
        },
        "parameters": {
            "ResourceId": {
                "type": "String",
                "description": "The resource as the finding names it: "
                + " or ".join(r.type for r in remediation.resources),
                "allowedPattern": "^(" + "|".join(r.allowed_pattern() for r in remediation.resources) + ")$",
            },
            "Control": {
                "type": "String",
                "description": "The security control to repair for",
                "allowedValues": list(remediation.controls),
                **({"default": remediation.controls[0]} if len(remediation.controls) == 1 else {}),
            },
            "AttemptId": {
                "type": "String",
                "description": "Set by the playbook; leave empty when you start the runbook by hand",
                "default": "",
                "allowedPattern": "^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$",
            },
            "Parameters": {
                "type": "String",
                "description": "JSON object with other values than the default for: "
                + (", ".join(p.name for p in remediation.parameters) or "nothing"),
                "default": "",
                "allowedPattern": r"^(\{[ -~]{0,500}\})?$",
            },
        },
        "mainSteps": [
            _step(
                "Plan",
                "plan_step",
                plan_script,
                {**inputs, **identity},
                ["record", "outcome", "note"],
                nextStep="Apply",
            ),
            _step(
                "Apply",
                "apply_step",
                apply_script,
                {**inputs, **identity, "Record": "{{ Plan.record }}"},
                ["record", "outcome", "note"],
                nextStep="Verdict",
            ),
            _step(
                "Verdict",
                "verdict_step",
                _verdict_script(),
                {"Outcome": "{{ Apply.outcome }}", "Note": "{{ Apply.note }}"},
                ["outcome"],
                isEnd=True,
            ),
        ],
        "outputs": ["Plan.outcome", "Plan.note", "Apply.outcome", "Apply.note", "Apply.record"],
    }
    size = len(json.dumps(content))
    if size > DOCUMENT_BYTES:
        raise CannotCompose(f"{remediation.id}: the document has {size} bytes, {DOCUMENT_BYTES} are allowed")
    return content


def composed_script(
    remediation: Remediation, before: tuple[str, ...], after: tuple[str, ...], root: Path = ROOT
) -> str:
    """Return a step's text: modules of the runtime, the remediation's own code, the step. Raises CannotCompose."""
    data = {
        "id": remediation.id,
        "code": remediation.code,
        "settings": remediation.settings,
        "resources": [{"type": r.type, "pattern": r.pattern} for r in remediation.resources],
        "any_region": ANY_REGION,
        "parameters": [
            {"name": p.name, "type": p.type, "default": p.default, "by_control": dict(p.by_control)}
            | {limit: value for limit in LIMITS if (value := getattr(p, limit)) is not None}
            for p in remediation.parameters
        ],
    }
    runtime, documents = root / "sharr" / "runtime", root / "ssm_documents"
    parts = [_part(runtime / f"{name}.py") for name in before]
    helpers = [_part(documents / "auxiliary" / name / "script.py") for name in remediation.auxiliary]
    script = _part(documents / remediation.id / "script.py")
    steps = [_part(runtime / f"{name}.py") for name in after]
    _refuse_names_used_twice(remediation.id, [*parts, script, *steps])
    lines = {line for part in [*parts, *helpers, script, *steps] for line in part.imports}
    imports = sorted(lines | ({"from types import SimpleNamespace"} if helpers else set()))
    wrapped = [_as_function(name, part) for name, part in zip(remediation.auxiliary, helpers, strict=True)]
    named = ", ".join(f'"{name}": _auxiliary_{name}()' for name in remediation.auxiliary)
    text = "\n\n\n".join(
        [
            f"# SHARR {remediation.id}, code {remediation.code}. All stands here without comments and docstrings.\n"
            + "\n".join(imports),
            f"REMEDIATION = {pformat(data, width=110, sort_dicts=False)}",
            *(part.text() for part in parts),
            *wrapped,
            script.text(),
            "class Script:\n"
            '    """The remediation as the driver takes it."""\n\n'
            "    inspect = staticmethod(inspect)\n    plan = staticmethod(plan)\n"
            f'    auxiliaries = {{{named}}}\n    settings = REMEDIATION["settings"]',
            *(step.text() for step in steps),
        ]
    )
    if "{{" in text:
        line = next(line for line in text.splitlines() if "{{" in line)
        raise CannotCompose(f"{remediation.id}: Automation would read a variable in: {line.strip()}")
    return text + "\n"


class _Part:
    """
    A module cut into what the composed text needs: its imports, and its body without them.

    They stand without docstrings, comments and annotations: Plan and Apply each carry all of it, and 64 KB have to hold
    both. Who wants the reasons finds the same code, with its hash, in the repository.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        tree = ast.parse(path.read_text())
        self.imports: list[str] = []
        self.names: set[str] = set()
        self.title = (ast.get_docstring(tree) or "").splitlines()[0:1]
        rest: list[ast.stmt] = []
        for index, node in enumerate(tree.body):
            if isinstance(node, ast.Import | ast.ImportFrom):
                if isinstance(node, ast.Import) or not (node.module or "").startswith("sharr"):
                    self.imports.append(ast.unparse(node))
                continue
            if index == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                continue
            rest.append(node)
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                self.names.add(node.name)
            elif isinstance(node, ast.Assign):
                self.names.update(n.id for t in node.targets for n in ast.walk(t) if isinstance(n, ast.Name))
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                self.names.add(node.target.id)
        self.body = "\n\n".join(ast.unparse(_Bare().visit(node)) for node in rest)

    def text(self) -> str:
        return f"# ---- {self.path.parent.name}/{self.path.name}: {''.join(self.title)}\n\n{self.body}"


@cache
def _part(path: Path) -> _Part:
    """The runtime is cut once, not once a document."""
    return _Part(path)


class _Bare(ast.NodeTransformer):
    """Takes docstrings and annotations away."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:  # ast's own naming
        self.generic_visit(node)
        node.returns = None
        arguments = node.args
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            argument.annotation = None
        return self._without_docstring(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.generic_visit(node)
        return self._without_docstring(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is None:
            return node
        return ast.copy_location(ast.Assign([node.target], node.value), node)

    @staticmethod
    def _without_docstring(node: ast.FunctionDef | ast.ClassDef) -> ast.AST:
        if ast.get_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
        return node


def _as_function(name: str, part: _Part) -> str:
    """An auxiliary in a function of its own, so that its look and make do not meet another's."""
    body = textwrap.indent(part.body, "    ")
    text = (
        f"# ---- auxiliary/{name}: {''.join(part.title)}\n\n"
        f"def _auxiliary_{name}():\n{body}\n\n    return SimpleNamespace(look=look, make=make)"
    )
    inner = ast.parse(text).body[0]
    assert isinstance(inner, ast.FunctionDef)
    if [ast.dump(n) for n in inner.body[:-1]] != [ast.dump(n) for n in ast.parse(part.body).body]:
        raise CannotCompose(f"auxiliary/{name}: holds a text of several lines, which indenting would change")
    return text


def _refuse_names_used_twice(identifier: str, parts: list[_Part]) -> None:
    owner: dict[str, Path | str] = dict.fromkeys(("REMEDIATION", "Script", "SimpleNamespace"), "the composer")
    for part in parts:
        for name in part.names:
            if name in owner:
                raise CannotCompose(f"{identifier}: {part.path} and {owner[name]} both define {name}")
            owner[name] = part.path


def _verdict_script() -> str:
    """Only verdict_step: the third step needs nothing of the driver."""
    source = (ROOT / "sharr" / "runtime" / "runbook_apply.py").read_text()
    node = next(n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef) and n.name == "verdict_step")
    lines = source.splitlines()[node.lineno - 1 : node.end_lineno]
    return "from typing import Any\n\n\n" + "\n".join(lines) + "\n"


def _step(
    name: str, handler: str, script: str, payload: dict[str, Any], outputs: list[str], **flow: Any
) -> dict[str, Any]:
    return {
        "name": name,
        "action": "aws:executeScript",
        "timeoutSeconds": SCRIPT_SECONDS,
        "onFailure": "Abort",
        "inputs": {"Runtime": "python3.11", "Handler": handler, "InputPayload": payload, "Script": script},
        "outputs": [{"Name": o, "Selector": f"$.Payload.{o}", "Type": "String"} for o in outputs],
        **flow,
    }
