"""The findings port: a finding read again, and many written at once, by what Security Hub answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from sandbox import samples
from sharr.finding import MalformedFinding, parse_finding
from sharr.findings_port import AT_ONCE, PASSING, PAUSES_SECONDS, FindingsPort, NoSuchFinding
from sharr.loader import ROOT
from sharr.standards import load_standards

Json = dict[str, Any]
STANDARDS = load_standards(ROOT)


class Hub:
    """Security Hub that refuses a finding with the codes given for it, one a call, and remembers what it was asked."""

    def __init__(self, found: list[Json] | None = None, refuse: dict[int, list[str]] | None = None) -> None:
        self.found = found or []
        self.refuse = {f"finding-{n}": iter(codes) for n, codes in (refuse or {}).items()}
        self.asked: list[Json] = []

    def get_findings(self, **asked: Any) -> Json:
        self.asked.append(asked)
        return {"Findings": self.found}

    def batch_update_findings(self, **asked: Any) -> Json:
        self.asked.append(asked)
        assert 1 <= len(asked["FindingIdentifiers"]) <= AT_ONCE
        nothing: Iterator[str] = iter(())
        codes = [(i, next(self.refuse.get(i["Id"], nothing), None)) for i in asked["FindingIdentifiers"]]
        return {
            "ProcessedFindings": [i for i, code in codes if not code],
            "UnprocessedFindings": [
                {"FindingIdentifier": i, "ErrorCode": code, "ErrorMessage": "m"} for i, code in codes if code
            ],
        }

    def written(self) -> list[list[str]]:
        return [[i["Id"] for i in asked["FindingIdentifiers"]] for asked in self.asked]


def port(hub: Any, sleeps: list[float] | None = None) -> FindingsPort:
    return FindingsPort(hub, STANDARDS, (sleeps if sleeps is not None else []).append)


def ids(number: int) -> list[dict[str, str]]:
    return [{"Id": f"finding-{n}", "ProductArn": "p", "More": "is left out"} for n in range(number)]


def a_raw_finding(**changes: Any) -> Json:
    raw = samples.finding(
        "SC",
        "KMS.4",
        account="222222222222",
        region="eu-west-1",
        resource_id="arn:aws:kms:eu-west-1:222222222222:key/1",
        resource_type="AwsKmsKey",
    )
    return raw | changes


FINDING = parse_finding(a_raw_finding(), STANDARDS)


# --- reading again


def test_a_finding_is_read_again_by_its_id_and_product_and_is_what_it_is_now() -> None:
    hub = Hub([a_raw_finding(Workflow={"Status": "SUPPRESSED"})])

    found = port(hub).read_again(FINDING.uid, FINDING.product_arn)

    assert (found.uid, found.workflow.value) == (FINDING.uid, "SUPPRESSED")
    (asked,) = hub.asked
    assert asked["Filters"] == {
        "Id": [{"Value": FINDING.uid, "Comparison": "EQUALS"}],
        "ProductArn": [{"Value": FINDING.product_arn, "Comparison": "EQUALS"}],
    }


@pytest.mark.parametrize("found", [[], [a_raw_finding(), a_raw_finding()]], ids=["none", "two"])
def test_a_finding_that_is_not_there_or_not_clear_is_none(found: list[Json]) -> None:
    with pytest.raises(NoSuchFinding, match=FINDING.uid):
        port(Hub(found)).read_again(FINDING.uid, FINDING.product_arn)


def test_a_finding_that_is_malformed_by_now_is_refused() -> None:
    with pytest.raises(MalformedFinding):
        port(Hub([a_raw_finding(AwsAccountId="333333333333")])).read_again(FINDING.uid, FINDING.product_arn)


# --- writing


@pytest.mark.parametrize(
    ("number", "wanted"), [(0, []), (1, [1]), (100, [100]), (101, [100, 1]), (250, [100, 100, 50])]
)
def test_a_hundred_findings_are_written_at_once(number: int, wanted: list[int]) -> None:
    hub, sleeps = Hub(), list[float]()

    assert port(hub, sleeps).update(ids(number), "done", "SHARR", "RESOLVED") == {}

    assert [len(call) for call in hub.written()] == wanted
    assert [i for call in hub.written() for i in call] == [i["Id"] for i in ids(number)]
    assert sleeps == []
    for asked in hub.asked:
        assert asked["Note"] == {"Text": "done", "UpdatedBy": "SHARR"}
        assert asked["Workflow"] == {"Status": "RESOLVED"}
        assert all(i.keys() == {"Id", "ProductArn"} for i in asked["FindingIdentifiers"])


def test_without_a_status_the_workflow_is_left_alone() -> None:
    hub = Hub()

    port(hub).update(ids(1), "done", "SHARR", None)

    assert "Workflow" not in hub.asked[0]


@pytest.mark.parametrize("code", PASSING)
def test_what_was_refused_for_now_is_written_again_and_nothing_else(code: str) -> None:
    hub, sleeps = Hub(refuse={1: [code, code]}), list[float]()

    assert port(hub, sleeps).update(ids(3), "done", "SHARR", None) == {}

    assert hub.written() == [["finding-0", "finding-1", "finding-2"], ["finding-1"], ["finding-1"]]
    assert sleeps == list(PAUSES_SECONDS[:2])


def test_what_is_refused_again_and_again_is_named() -> None:
    hub, sleeps = Hub(refuse={1: ["ThrottlingException"] * 9}), list[float]()

    assert port(hub, sleeps).update(ids(2), "done", "SHARR", None) == {"finding-1": "still refused after retries"}

    assert len(hub.asked) == len(PAUSES_SECONDS) + 1
    assert sleeps == list(PAUSES_SECONDS)


def test_what_cannot_be_written_is_named_and_not_tried_again() -> None:
    hub = Hub(refuse={0: ["FindingNotFound"], 2: ["InvalidInput"]})

    failed = port(hub).update(ids(3), "done", "SHARR", None)

    assert failed == {"finding-0": "FindingNotFound", "finding-2": "InvalidInput"}
    assert len(hub.asked) == 1


def test_a_batch_that_is_refused_does_not_keep_the_next_from_being_written() -> None:
    hub = Hub(refuse={1: ["InternalException"] * 9})

    assert port(hub).update(ids(102), "done", "SHARR", None) == {"finding-1": "still refused after retries"}

    assert hub.written()[-1] == ["finding-100", "finding-101"]


def test_a_call_that_fails_is_an_error_and_no_success() -> None:
    class Down(Hub):
        def batch_update_findings(self, **_: Any) -> Json:
            raise ClientError({"Error": {"Code": "InternalException", "Message": "m"}}, "BatchUpdateFindings")

    with pytest.raises(ClientError):
        port(Down()).update(ids(1), "done", "SHARR", None)


codes = st.sampled_from([*PASSING, "FindingNotFound"])


@given(st.integers(1, 120), st.dictionaries(st.integers(0, 119), st.lists(codes, min_size=1, max_size=6), max_size=8))
def test_each_finding_is_written_once_or_named(number: int, refuse: dict[int, list[str]]) -> None:
    hub = Hub(refuse=refuse)
    written: list[str] = []
    answer = hub.batch_update_findings

    def remembered(**asked: Any) -> Json:
        answered = answer(**asked)
        written.extend(i["Id"] for i in answered["ProcessedFindings"])
        return answered

    hub.batch_update_findings = remembered  # type: ignore[method-assign]

    failed = port(hub).update(ids(number), "done", "SHARR", None)

    assert sorted([*written, *failed]) == sorted(i["Id"] for i in ids(number))
