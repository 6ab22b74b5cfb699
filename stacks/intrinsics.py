"""CloudFormation's intrinsic functions as the JSON they are, and as the texts that typed constructs want."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from aws_cdk import Token

Json = Any
NO_VALUE: Json = {"Ref": "AWS::NoValue"}
ACCOUNT: Json = {"Ref": "AWS::AccountId"}
REGION: Json = {"Ref": "AWS::Region"}


def ref(name: str) -> Json:
    """Return a Ref to a parameter or resource of the same template."""
    return {"Ref": name}


def attribute(resource: str, name: str) -> Json:
    """Return a Fn::GetAtt of a resource of the same template."""
    return {"Fn::GetAtt": [resource, name]}


def sub(template: str) -> Json:
    """Return a Fn::Sub; `${AWS::Partition}` and the like are filled in by CloudFormation."""
    return {"Fn::Sub": template}


def join(delimiter: str, items: Sequence[Json] | Json) -> Json:
    """Return a Fn::Join of texts, or of a parameter that is a list."""
    return {"Fn::Join": [delimiter, items]}


def either(condition: str, then: Json, otherwise: Json = None) -> Json:
    """Return a Fn::If; without *otherwise* the property (or list item) is left out where *condition* does not hold."""
    return {"Fn::If": [condition, then, NO_VALUE if otherwise is None else otherwise]}


def equals(left: Json, right: Json) -> Json:
    """Return a Fn::Equals, for a condition."""
    return {"Fn::Equals": [left, right]}


def negated(condition: Json) -> Json:
    """Return a Fn::Not, for a condition."""
    return {"Fn::Not": [condition]}


def arn(service: str, resource: str, *, region: str = "${AWS::Region}", account: str = "${AWS::AccountId}") -> Json:
    """Return an ARN as a Fn::Sub, in the stack's own partition, Region and account where nothing else is said."""
    return sub(f"arn:${{AWS::Partition}}:{service}:{region}:{account}:{resource}")


def text(value: Json) -> str:
    """Return *value* as a text for a typed property; CDK writes the intrinsic function into the template again."""
    return value if isinstance(value, str) else _token(json.dumps(value, sort_keys=True))


def texts(value: Json) -> list[str]:
    """Return *value* as a list of texts for a typed property: a list, or a parameter that is one."""
    return value if isinstance(value, list) else Token.as_list(value)


def number(value: Json) -> int | float:
    """Return *value* as a number for a typed property."""
    return Token.as_number(value)


@cache
def _token(value: str) -> str:
    # Each call crosses into Node: the same few values are asked for again and again.
    return Token.as_string(json.loads(value))
