"""APIGateway.5: every method that caches is encrypted by one request, and nothing else of the stage changes."""

from __future__ import annotations

from typing import Any

import pytest

from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "apigateway/encrypt_cache"
ALL = "*/*"


def stage(b: Bench, name: str, *cached: str) -> str:
    """Make a REST stage with a cache for the methods, and return its id."""
    gateway = b.client("apigateway")
    api = gateway.create_rest_api(name=name)["id"]
    method = {"restApiId": api, "resourceId": gateway.get_resources(restApiId=api)["items"][0]["id"]}
    gateway.put_method(**method, httpMethod="GET", authorizationType="NONE")
    gateway.put_integration(**method, httpMethod="GET", type="MOCK")
    which = {"restApiId": api, "stageName": "prod"}
    deployment = gateway.create_deployment(restApiId=api)["id"]
    gateway.create_stage(**which, deploymentId=deployment, cacheClusterEnabled=True, cacheClusterSize="0.5")
    for key in cached:
        setting = {"op": "replace", "path": f"/{key}/caching/enabled", "value": "true"}
        gateway.update_stage(**which, patchOperations=[setting])
    return b.arn("apigateway", f"/restapis/{api}/stages/prod", account="")


def caches_for_all(b: Bench) -> str:
    return stage(b, "orders-for-apigateway-5", ALL)


def caches_for_some(b: Bench) -> str:
    resource_id = stage(b, "offers-for-apigateway-5", "~1offers~1{id}/GET", "~1offers/GET")
    change(b, resource_id, "/~1offers/GET/caching/dataEncrypted", "true")
    change(b, resource_id, "/*/*/throttling/burstLimit", "9")
    return resource_id


def change(b: Bench, resource_id: str, path: str, value: str) -> None:
    operations = [{"op": "replace", "path": path, "value": value}]
    b.client("apigateway").update_stage(**which(resource_id), patchOperations=operations)


def which(resource_id: str) -> dict[str, str]:
    parts = resource_id.split("/")
    return {"restApiId": parts[2], "stageName": parts[4]}


def settings_of(b: Bench, resource_id: str) -> dict[str, Any]:
    return dict(b.client("apigateway").get_stage(**which(resource_id)).get("methodSettings", {}))


def encrypted(b: Bench, resource_id: str) -> bool:
    caching = [one for one in settings_of(b, resource_id).values() if one["cachingEnabled"]]
    return all(one["cacheDataEncrypted"] for one in caching)


CASES = [
    Case("APIGateway.5", "a stage that caches all methods", caches_for_all, encrypted),
    Case("APIGateway.5", "a stage that caches some methods", caches_for_some, encrypted),
]


def plan(encrypted: dict[str, bool], caches: list[str]) -> list[dict[str, Any]]:
    state = {"config": {"encrypted": encrypted}, "facts": {"caches": caches}, "busy": None}
    target = {"resource": {"api_id": "a", "stage": "s"}, "parameters": {}}
    made: list[dict[str, Any]] = code_of(remediation_of(ID)).plan(state, target)
    return made


@pytest.mark.parametrize(
    ("case", "states", "caches", "patched"),
    [
        ("nothing is set", {}, [], []),
        ("nothing is cached", {ALL: False}, [], []),
        ("all is encrypted", {ALL: True, "~1a/GET": True}, [ALL, "~1a/GET"], []),
        ("the default is not", {ALL: False, "~1a/GET": True}, [ALL, "~1a/GET"], ["/*/*/caching/dataEncrypted"]),
        ("one method is not", {ALL: True, "~1a/GET": False}, [ALL, "~1a/GET"], ["/~1a/GET/caching/dataEncrypted"]),
        ("it does not cache", {ALL: True, "~1a/GET": False}, [ALL], []),
        ("a key with plain slashes", {"a/b/GET": False}, ["a/b/GET"], ["/a~1b/GET/caching/dataEncrypted"]),
    ],
)
def test_patches(case: str, states: dict[str, bool], caches: list[str], patched: list[str]) -> None:
    made = plan(states, caches)

    assert [p["path"] for one in made for p in one["parameters"]["patchOperations"]] == patched, case


def test_a_stage_with_many_methods_takes_one_request() -> None:
    keys = [f"~1r{number}/GET" for number in range(300)]

    (one,) = plan(dict.fromkeys(keys, False), keys)

    assert len(one["parameters"]["patchOperations"]) == 300


def test_other_settings_stay() -> None:
    with bench(ID) as b:
        resource_id = caches_for_some(b)
        before = settings_of(b, resource_id)

        b.remediate("APIGateway.5", resource_id)

        changed = {"~1offers~1{id}/GET": before["~1offers~1{id}/GET"] | {"cacheDataEncrypted": True}}
        assert settings_of(b, resource_id) == before | changed


def test_a_cache_cluster_that_is_being_made_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from moto.apigateway.models import Stage

    with bench(ID) as b:
        resource_id = caches_for_all(b)
        kept = Stage.to_json
        monkeypatch.setattr(Stage, "to_json", lambda one: kept(one) | {"cacheClusterStatus": "CREATE_IN_PROGRESS"})

        with b.watched() as calls:
            result = b.remediate("APIGateway.5", resource_id)

    assert result["outcome"] == "PENDING", result
    assert not b.writes(calls)


def test_a_stage_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        gone = b.arn("apigateway", "/restapis/abcdefghij/stages/prod", account="")

        assert b.remediate("APIGateway.5", gone)["outcome"] == "COMPLIANT"
