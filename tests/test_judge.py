"""The judge: its checks are of controls that we repair, its page says what it said, its verdicts mean what they say."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from judge.__main__ import PAGE, PROWLER, Verdict, about_it, checks, is_blind, known_exceptions
from sandbox import every
from sandbox.organization import Organization
from sandbox.place import Place
from sharr.loader import ROOT, load_all

SERVED = {control for remediation in load_all() for control in remediation.controls}
ROWS = dict(re.findall(r"^\| ([A-Za-z0-9]+\.[0-9]+) \| [^|]+ \| ([^|]+) \|", PAGE.read_text(), re.MULTILINE))


def test_every_check_is_of_a_control_that_we_repair() -> None:
    assert set(checks()) <= SERVED


def test_every_exception_has_a_reason_and_is_of_a_control_with_a_check() -> None:
    exceptions = known_exceptions()

    assert set(exceptions) <= set(checks())
    assert all(len(reason.split()) > 5 for reason in exceptions.values())


def test_the_page_has_every_control_with_a_check_and_what_prowler_said() -> None:
    exceptions = known_exceptions()

    assert set(ROWS) == set(checks()), "run `make judge ARGS=--write`"
    for control, said in ROWS.items():
        agrees = re.fullmatch(r"FAIL( and PASS)? -> (PASS|gone)", said.strip()) is not None
        assert agrees != (control in exceptions), (control, said)
    assert f"Prowler {PROWLER};" in PAGE.read_text()


def test_the_page_and_the_requirements_name_one_version_of_prowler() -> None:
    assert f"prowler=={PROWLER}\n" in (ROOT / "judge" / "requirements.txt").read_text()


@pytest.mark.parametrize(
    ("before", "after", "word", "agrees"),
    [
        ({"a": "FAIL"}, {"a": "PASS"}, "FAIL -> PASS", True),
        ({"a": "FAIL"}, {}, "FAIL -> gone", True),
        ({"a": "FAIL", "b": "PASS"}, {"a": "PASS", "b": "PASS"}, "FAIL and PASS -> PASS", True),
        ({"a": "FAIL"}, {"a": "FAIL"}, "FAIL -> FAIL", False),
        ({"a": "PASS"}, {"a": "PASS"}, "PASS -> PASS", False),
        ({"a": "FAIL"}, {"b": "FAIL"}, "FAIL -> FAIL", False),
        ({}, {}, "saw nothing", False),
    ],
)
def test_a_verdict(before: dict[str, str], after: dict[str, str], word: str, agrees: bool) -> None:
    verdict = Verdict("S3.5", ["check"], before, after)

    assert (verdict.word, verdict.agrees) == (word, agrees)


@pytest.mark.parametrize(
    ("before", "after", "seen", "blind"),
    [
        ([], [], 0, False),
        (["cannot list"], ["cannot list"], 0, False),
        ([], ["cannot list"], 0, True),
        ([], ["cannot list"], 1, False),
        ([], ["scan: KeyError: x"], 1, True),
        (["scan: KeyError: x"], [], 1, True),
    ],
)
def test_what_prowler_could_not_read_is_not_gone(before: list[str], after: list[str], seen: int, blind: bool) -> None:
    """A scan that fails finds nothing: that must not count as repaired."""
    assert is_blind(before, after, seen) is blind
    assert not Verdict("S3.5", ["check"], {"a": "FAIL"}, {}, is_blind=True).agrees


def test_only_findings_about_the_resource_count() -> None:
    class World:
        organization = Organization()

    place = Place(World(), "222222222222", "us-east-1")  # type: ignore[arg-type]  # a place needs no more of a world

    def found(arn: str, resource: str = "", region: str = "us-east-1") -> dict[str, str]:
        return {"arn": arn, "resource": resource, "region": region, "status": "FAIL", "check": "c", "said": ""}

    group = "arn:aws:ec2:us-east-1:222222222222:security-group/sg-1"
    other = "arn:aws:ec2:us-east-1:222222222222:security-group/sg-2"

    assert about_it([found(group), found(other)], "resource", group, place) == [found(group)]
    assert about_it([found("arn:x/root", "sg-1"), found(other)], "resource", group, place) == [
        found("arn:x/root", "sg-1")
    ]
    assert about_it([found(other)], "resource", group, place) == []
    assert about_it([found(other), found(group, region="eu-west-1")], "region", group, place) == [found(other)]
    assert len(about_it([found(other), found(group)], "account", group, place)) == 2


def test_each_item_is_worked_on_in_a_process_of_its_own_and_what_fails_is_told(tmp_path: Path) -> None:
    here = {"count": 0}

    def work(number: int) -> int:
        here["count"] += 1
        if number == 2:
            raise ValueError("two")
        if number == 3:
            os._exit(7)
        return here["count"] * 10 + number

    told = dict(every.in_copies([1, 2, 3, 4], work))

    assert (told[1], told[4]) == (11, 14), "no copy sees what another did"
    assert "ValueError: two" in str(told[2])
    assert told[3] == "its process ended with exit code 7"
    assert here["count"] == 0
