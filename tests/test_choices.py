"""RemediationParameters: what the user chose reaches the control that it names, and nothing is passed over."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharr.choices import chosen_for
from sharr.loader import load_all
from sharr.remediation import BadParameter, Remediation
from tests.harness import remediation_of

KEYS = "iam/deactivate_stale_keys"


def keys() -> Remediation:
    return remediation_of(KEYS)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", {}),
        (" ; ;", {}),
        ("IAM.8:deleteLoginProfile=true", {"deleteLoginProfile": "true"}),
        (" IAM.8:maxCredentialUsageAge = 60 ", None),
        ("IAM.8:maxCredentialUsageAge= 60 ;IAM.22:maxCredentialUsageAge=30", {"maxCredentialUsageAge": "60"}),
        ("RDS.4:whatever=1; IAM.22:deleteLoginProfile=true", {}),
        (f"{KEYS}:deleteLoginProfile=true", {"deleteLoginProfile": "true"}),
        (f"IAM.8:maxCredentialUsageAge=60; {KEYS}:maxCredentialUsageAge=30", {"maxCredentialUsageAge": "60"}),
        (f"{KEYS}:maxCredentialUsageAge=30; IAM.8:maxCredentialUsageAge=60", {"maxCredentialUsageAge": "60"}),
    ],
)
def test_a_control_gets_its_own_choices_before_those_of_its_remediation(text: str, wanted: Any) -> None:
    if wanted is None:
        with pytest.raises(BadParameter, match="wanted CONTROL:parameter=value"):
            chosen_for(keys(), "IAM.8", text)
        return
    assert chosen_for(keys(), "IAM.8", text) == wanted


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("IAM.8:deleteloginprofile=true", "has no parameter deleteloginprofile: it has maxAccessKeyAge"),
        ("IAM.8:deleteLoginProfile=yes", "wanted true or false"),
        ("IAM.8:maxCredentialUsageAge=0", "wanted 1 to 3650"),
        ("IAM.8:deleteLoginProfile=true; IAM.8:deleteLoginProfile=false", "is there twice"),
        ("deleteLoginProfile=true", "wanted CONTROL:parameter=value"),
        ("IAM.8:deleteLoginProfile", "wanted CONTROL:parameter=value"),
        ("RDS.4 deleteOriginal=true", "wanted CONTROL:parameter=value"),
        ("IAM.8:deleteLoginProfile=tr\u00fce", "wanted CONTROL:parameter=value"),
    ],
)
def test_a_choice_that_cannot_be_taken_refuses_the_repair(text: str, why: str) -> None:
    with pytest.raises(BadParameter, match=why):
        chosen_for(keys(), "IAM.8", text)


@given(st.text(max_size=80))
def test_any_text_gives_known_parameters_or_is_refused(text: str) -> None:
    try:
        found = chosen_for(keys(), "IAM.8", text)
    except BadParameter:
        return
    assert set(found) <= {p.name for p in keys().parameters}


def test_a_value_may_be_anything_that_a_parameter_of_ours_takes() -> None:
    for remediation in load_all():
        for parameter in remediation.parameters:
            for control in remediation.controls:
                value = parameter.by_control.get(control, parameter.default)
                if value is None:
                    continue
                text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
                chosen = chosen_for(remediation, control, f"{control}:{parameter.name}={text}")
                assert parameter.value(control, {}, chosen) == value


def test_the_findings_own_parameter_goes_before_the_users() -> None:
    parameter = next(p for p in keys().parameters if p.name == "maxCredentialUsageAge")

    assert parameter.value("IAM.8", {"maxCredentialUsageAge": ("45",)}, {"maxCredentialUsageAge": "60"}) == 45
    assert parameter.value("IAM.8", {}, {"maxCredentialUsageAge": "60"}) == 60
    assert parameter.value("IAM.22", {}, {}) == 45


def test_a_finding_cannot_set_a_switch() -> None:
    parameter = next(p for p in keys().parameters if p.name == "deleteLoginProfile")

    assert parameter.value("IAM.8", {"deleteLoginProfile": ("true",)}, {}) is False
