"""A button on what no loaded playbook takes: its rule takes just that, and its note says why, whatever it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import scene
from sandbox.cloudformation import Resolver, StackRecord, resolve_parameters
from sandbox.events import Pattern
from sandbox.samples import custom_action_event, standards
from sharr.finding import CUSTOM_ACTIONS, PREVIEW, REMEDIATE, MalformedEvent, custom_action_arn
from sharr.outcomes import AUTHOR
from sharr.patterns import LONGEST_PATTERN, button_pattern
from sharr.publishing import Publisher
from sharr.unserved import Unserved, takes, unserved_findings
from tests.test_patterns import ADMIN, MEMBER, one, samples

STANDARDS = standards()
REGION = "us-east-1"
GUARD_DUTY = f"arn:aws:securityhub:{REGION}::product/aws/guardduty"
NAMES = [s.name for s in STANDARDS]
SHARING = ("SC", "Tagging")


def combinations() -> Iterator[frozenset[str]]:
    """Give what may be loaded: with each of the four of SC and Tagging nothing, one, all but one, or all others."""
    others = [name for name in NAMES if name not in SHARING]
    for sharing in (set(), {"SC"}, {"Tagging"}, {"SC", "Tagging"}):
        for more in ([], others, *([name] for name in others), *([n for n in others if n != name] for name in others)):
            yield frozenset({*sharing, *more})


@cache
def template() -> dict[str, Any]:
    """Return the admin stack's template as it is synthesized."""
    found: dict[str, Any] = json.loads((scene.assembly() / "sharr-admin.template.json").read_text())
    return found


def deployed(loaded: Collection[str], region: str = REGION, partition: str = "aws") -> Callable[[str, str], Any]:
    """Return what gives a property of a resource where the playbooks *loaded* are."""
    given_ = {f"Load{name}AdminStack": "yes" if name in loaded else "no" for name in NAMES}
    stack = StackRecord("sharr-admin", f"arn:{partition}:cloudformation:x", ADMIN, region, template(), given_)
    resolver = Resolver(stack, resolve_parameters(template(), given_, lambda name: name), {})
    return lambda name, part: resolver.resolve(template()["Resources"][name]["Properties"][part])


def arns(region: str) -> list[str]:
    return [custom_action_arn(action, account=ADMIN, region=region) for action in CUSTOM_ACTIONS]


def parsed(pattern: Any) -> Pattern:
    return Pattern.parse(json.dumps(pattern, separators=(",", ":")))


def foreign(**changes: Any) -> dict[str, Any]:
    """Return a finding of GuardDuty."""
    made = one(ProductArn=GUARD_DUTY, GeneratorId="arn:aws:guardduty:us-east-1:222222222222:detector/1")
    return {**made, "Id": f"arn:aws:guardduty:{REGION}:{MEMBER}:detector/1/finding/2", **changes}


def press(*findings: Any, action: Any = REMEDIATE) -> dict[str, Any]:
    return custom_action_event(action, list(findings), admin_account=ADMIN, region=REGION)


def unserved(event: Any, loaded: Collection[str] = ("SC",)) -> tuple[list[Unserved], list[str]]:
    return unserved_findings(event, STANDARDS, loaded, admin_account=ADMIN, region=REGION)


# --- the rule


def test_each_press_goes_to_one_queue_whatever_is_loaded_and_is_answered_there() -> None:
    buttons = {s.name: parsed(button_pattern(s, arns(REGION))) for s in STANDARDS}
    known = {(name, made["GeneratorId"]): made for name, made in samples("aws")}
    events = [(name, press({**made, "Region": REGION})) for (name, _), made in known.items()]
    # A finding that an earlier standard's release had, and other products'.
    events += [("", press(one(GeneratorId="cis-aws-foundations-benchmark/v/9.0.0/1.1"))), ("", press(foreign()))]
    takers = [(event, {n for n, p in buttons.items() if p.matches(event)}, name) for name, event in events]
    seen = 0
    for loaded in combinations():
        rule = parsed(deployed(loaded)("Unserved", "EventPattern"))
        for event, by_button, name in takers:
            queues = [*(by_button & loaded), *(["Unserved"] if rule.matches(event) else [])]
            assert queues == ([name] if name in loaded else ["Unserved"]), (loaded, name)
            finding = event["detail"]["findings"][0]
            assert any(takes(STANDARDS[n], finding) for n in loaded) == (name in loaded), (loaded, name)
            seen += 1
    assert seen > 3000


def test_a_press_on_several_reaches_all_whom_it_concerns_and_each_answers_its_own() -> None:
    event = press(one(), one("AFSBP"), foreign())
    rule = parsed(deployed({"SC"})("Unserved", "EventPattern"))

    assert rule.matches(event)
    found, refused = unserved(event)

    assert ([u.uid for u in found], refused) == ([f["Id"] for f in event["detail"]["findings"][1:]], [])


@pytest.mark.parametrize("loaded", [set(), set(NAMES), set(NAMES) - {"SC"}, set(NAMES) - {"Tagging"}], ids=len)
@pytest.mark.parametrize(("partition", "region"), [("aws", "ap-southeast-5"), ("aws-us-gov", "us-gov-west-1")])
def test_the_pattern_fits_and_no_list_of_it_is_ever_empty(loaded: set[str], partition: str, region: str) -> None:
    pattern = deployed(loaded, region, partition)("Unserved", "EventPattern")

    text = json.dumps(pattern, separators=(",", ":"))
    assert len(text) <= LONGEST_PATTERN
    assert "[]" not in text
    assert pattern["resources"] == [a.replace("arn:aws:", f"arn:{partition}:") for a in arns(region)]


def test_buttons_of_others_and_imported_findings_are_not_ours_to_answer() -> None:
    rule = parsed(deployed({"SC"})("Unserved", "EventPattern"))
    event = press(foreign())
    assert rule.matches(event)

    assert not rule.matches({**event, "resources": [f"{arns(REGION)[0]}X"]})
    assert not rule.matches({**event, "detail-type": "Security Hub Findings - Imported"})


def test_the_outcome_function_knows_what_is_loaded() -> None:
    def environment(loaded: Collection[str]) -> str:
        return str(deployed(loaded)("OutcomeFunction", "Environment")["Variables"]["LOADED_PLAYBOOKS"])

    # The rest of its environment is of resources that only a deployed stack has.
    template()["Resources"]["OutcomeFunction"]["Properties"]["Environment"]["Variables"] = {
        "LOADED_PLAYBOOKS": template()["Resources"]["OutcomeFunction"]["Properties"]["Environment"]["Variables"][
            "LOADED_PLAYBOOKS"
        ]
    }
    assert environment([]) == ""
    assert environment({"SC", "AFSBP"}) == "AFSBP,SC"


# --- the answer


@pytest.mark.parametrize(
    ("finding", "wanted"),
    [
        (foreign(), "of another product"),
        (one("CIS140", "KMS.4"), "playbook of CIS AWS Foundations Benchmark (CIS140) is not loaded. To do: set the "
         "parameter LoadCIS140AdminStack"),
        (one("Tagging", "ACM.3"), "LoadTaggingAdminStack"),
        (one(GeneratorId="cis-aws-foundations-benchmark/v/9.0.0/1.1"), "no playbook of this release"),
    ],
)  # fmt: skip
def test_the_note_says_why_and_what_to_do(finding: dict[str, Any], wanted: str) -> None:
    ((answer,), refused) = unserved(press(finding))

    assert wanted in answer.note
    assert "To do: " in answer.note
    assert len(answer.note) <= 512
    assert refused == []
    assert (answer.uid, answer.product_arn) == (finding["Id"], finding["ProductArn"])


def test_another_author_s_note_stays_behind_ours_and_ours_is_written_anew() -> None:
    ann = {"Text": "mine\u0007 since May", "UpdatedBy": "Ann", "UpdatedAt": "2026-01-31T12:00:00Z"}
    (behind,), _ = unserved(press(foreign(Note=ann)))
    assert behind.note.endswith(" | Ann: mine  since May")

    (again,), _ = unserved(press(foreign(Note={**ann, "Text": behind.note, "UpdatedBy": AUTHOR})))

    assert "Ann" not in again.note
    assert again.note == unserved(press(foreign()))[0][0].note


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"Id": ""}, "Id"),
        ({"Id": 7}, "Id"),
        ({"Id": "x" * 513}, "Id"),
        ({"Id": "a\nb"}, "Id"),
        ({"Id": "é"}, "Id"),
        ({"ProductArn": None}, "ProductArn"),
        ({"ProductArn": "arn:aws:s3:::product/aws/guardduty"}, "ProductArn"),
        ({"ProductArn": "arn:aws-cn:securityhub:cn-north-1::product/aws/guardduty"}, "ProductArn"),
        ({"ProductArn": "arn:aws:securityhub:eu-west-1::product/aws/guardduty"}, "another Region"),
        ({"ProductArn": "arn:aws:securityhub:::product/aws/guardduty"}, "another Region"),
        ({"ProductArn": f"arn:aws:securityhub:{REGION}:333333333333:product/333333333333/default"}, "another account"),
        ({"ProductArn": f"arn:aws:securityhub:{REGION}:{MEMBER}:product/333333333333/default"}, "another account"),
        ({"ProductArn": f"arn:aws:securityhub:{REGION}::product/aws/guardduty/x"}, "ProductArn"),
        ({"AwsAccountId": "12"}, "AwsAccountId"),
    ],
)
def test_what_is_no_handle_of_a_finding_is_not_written_to(changes: dict[str, Any], why: str) -> None:
    found, refused = unserved(press(foreign(**changes), foreign()))

    assert len(found) == 1
    assert len(refused) == 1
    assert why in refused[0]


def test_a_custom_product_s_finding_is_answered() -> None:
    product = f"arn:aws:securityhub:{REGION}:{MEMBER}:product/{MEMBER}/default"

    (answer,), _ = unserved(press(foreign(ProductArn=product, Id="my-own-check/1 of 2")))

    assert answer.uid == "my-own-check/1 of 2"
    assert "another product" in answer.note


@pytest.mark.parametrize(
    "changes",
    [
        {"account": MEMBER},
        {"region": "eu-west-1"},
        {"source": "my.app"},
        {"resources": [f"arn:aws:securityhub:{REGION}:{ADMIN}:action/custom/Mine"]},
        {"detail": {"findings": []}},
        {"detail-type": "Security Hub Findings - Imported"},
    ],
)
def test_an_event_that_is_none_of_our_buttons_here_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedEvent):
        unserved({**press(foreign(), action=PREVIEW), **changes})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
fields = st.sampled_from(["Id", "ProductArn", "AwsAccountId", "Region", "GeneratorId", "Compliance", "Note"])
findings = json_values | st.dictionaries(fields, json_values, max_size=4).map(lambda changes: foreign(**changes))


@given(st.lists(findings, min_size=1, max_size=3), st.sets(st.sampled_from(NAMES)))
def test_any_findings_are_answered_refused_or_a_loaded_playbook_s(raws: list[Any], loaded: set[str]) -> None:
    event = press(foreign())
    event["detail"]["findings"] = raws

    found, refused = unserved(event, loaded)

    taken = [r for r in raws if isinstance(r, dict) and any(takes(STANDARDS[name], r) for name in loaded)]
    assert len(found) + len(refused) + len(taken) == len(raws)
    for answer in found:
        assert answer.note.isprintable()
        assert 1 <= len(answer.note) <= 512
        assert (answer.uid + answer.product_arn).isascii()


# --- told


class Hub:
    """Findings and log that remember."""

    def __init__(self, **refuse: str) -> None:
        self.calls: list[tuple[list[str], str | None]] = []
        self.lines: list[dict[str, Any]] = []
        self.refuse = refuse

    def update(self, identifiers: list[dict[str, str]], note: str, author: str, status: str | None) -> dict[str, str]:
        assert author == AUTHOR
        self.calls.append(([i["Id"] for i in identifiers], status))
        return {i["Id"]: self.refuse[i["Id"]] for i in identifiers if i["Id"] in self.refuse}

    def answer(self, **unserved: list[Unserved]) -> dict[str, str]:
        nothing: Any = None
        publisher = Publisher(
            nothing, nothing, nothing, self, nothing, nothing, self.lines.append, nothing, nothing  # type: ignore[arg-type]
        )  # fmt: skip
        return publisher.answer(unserved)


def test_equal_notes_share_one_update_with_no_status_and_each_finding_has_a_line() -> None:
    both = [unserved(press(foreign(Id=i)))[0][0] for i in ("a", "b")]
    other = unserved(press(one("CIS140", "KMS.4")))[0]
    hub = Hub()

    assert hub.answer(first=[both[0]], second=[both[1], both[0]], third=other) == {}

    assert hub.calls == [(["a", "b"], None), ([other[0].uid], None)]
    assert [line["finding"] for line in hub.lines] == ["a", "b", "a", other[0].uid]
    assert {line["message"] for line in hub.lines} == {"unserved"}


def test_what_may_be_written_later_comes_back_and_what_never_can_be_does_not() -> None:
    made = {i: unserved(press(foreign(Id=i)))[0] for i in ("a", "b", "c")}
    hub = Hub(a="still refused after retries", b="FindingNotFound")

    assert hub.answer(**made) == {"a": "still refused after retries"}

    assert [line["code"] for line in hub.lines] == ["still refused after retries", "FindingNotFound", ""]
