"""The driver with a made-up service, so that every rule of the contract can be seen alone."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from sharr.runtime.contract import CannotRepair, ResourceGone, as_json, call, ref, wait
from sharr.runtime.driver import remediate, resolve
from sharr.runtime.planning import Aws, CallFailed, at, leaves, new_journal, plan_of, preview
from sharr.runtime.undoing import undo

Json = dict[str, Any]


def error(code: str, status: int = 400, message: str = "no") -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Operation"
    )


class Service:
    """A service with named switches; remembers what it was asked, and fails where told."""

    def __init__(self, **values: Any) -> None:
        self.values: Json = dict(values)
        self.writes: list[tuple[str, Json]] = []
        self.fails: dict[str, list[Exception]] = {}
        self.answers: dict[str, Any] = {}
        self.busy: list[str | None] = []
        self.gone = False

    def put_value(self, **parameters: Any) -> Any:
        self.writes.append(("put_value", parameters))
        pending = self.fails.get(parameters["Name"], [])
        if pending:
            failure = pending.pop(0)
            if isinstance(failure, ReadTimeoutError):
                self.values[parameters["Name"]] = parameters["Value"]
            raise failure
        self.values[parameters["Name"]] = parameters["Value"]
        return self.answers.get(parameters["Name"], {"Id": f"id-{parameters['Name']}"})

    def delete_value(self, **parameters: Any) -> Any:
        self.writes.append(("delete_value", parameters))
        self.values.pop(parameters["Name"], None)
        return {}

    def get_secret(self, **_parameters: Any) -> Any:
        return {"Document": {"Secret": "canary", "Name": "s"}}


class World:
    """A remediation, its access and its target."""

    def __init__(self, service: Service, plan: Any, *, settles: int = 0, at_most: int = 3600) -> None:
        self.service = service
        self.now = "2026-01-01T00:00:00+00:00"
        self.saves: list[str] = []
        self.opened: list[str] = []
        self.code = SimpleNamespace(
            inspect=self._inspect,
            plan=plan,
            auxiliaries={},
            settings={"settles": settles, "pending": {"first": 60, "every": 300, "at_most": at_most}},
        )
        self.journal = new_journal("00000000-0000-0000-0000-000000000001")

    def _inspect(self, aws: Aws, target: Json) -> Json:
        if self.service.gone:
            raise ResourceGone("gone")
        busy = self.service.busy.pop(0) if self.service.busy else None
        return {"config": json.loads(json.dumps(self.service.values)), "facts": {}, "busy": busy}

    @property
    def target(self) -> Json:
        return {"region": "us-east-1", "now": self.now, "parameters": {}, "resource": {}}

    def _aws(self, kind: str) -> Aws:
        self.opened.append(kind)
        return Aws(lambda service, region: self.service, self.target, "own", {})

    def read(self) -> Aws:
        return self._aws("read")

    def write(self, plan: Any, state: Any) -> Aws:
        return self._aws("write")

    def undo(self, calls: Any, state: Any) -> Aws:
        return self._aws("undo")

    def save(self, journal: Json) -> None:
        self.saves.append(json.dumps(journal))

    def look(self) -> Json:
        return remediate(self.code, self, self.target, self.journal, self.save, sleep=lambda s: None)

    def take_back(self) -> Json:
        journal = new_journal("00000000-0000-0000-0000-000000000002")
        return undo(self.code, self, self.target, self.journal, journal, self.save, sleep=lambda s: None)


def put(name: str, value: Any, old: Any, **more: Any) -> Json:
    inverse = call("svc", "put_value", {"Name": name, "Value": old}, leaf=[name])
    return call("svc", "put_value", {"Name": name, "Value": value}, undo=[inverse], **more)


def turn_on(*names: str) -> Any:
    def plan(state: Json, target: Json) -> list[Json]:
        return [put(n, True, state["config"].get(n)) for n in names if not state["config"].get(n)]

    return plan


def test_nothing_is_written_before_the_journal_was_saved() -> None:
    world = World(Service(a=False), turn_on("a"))

    def refuse(journal: Json) -> None:
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        remediate(world.code, world, world.target, world.journal, refuse, sleep=lambda s: None)

    assert world.service.writes == []
    assert world.journal["open"] is None


def test_a_compliant_resource_opens_no_session_that_can_write() -> None:
    world = World(Service(a=True), turn_on("a"))

    assert world.look()["outcome"] == "COMPLIANT"
    assert set(world.opened) == {"read"}
    assert world.saves == []


def test_a_plan_that_is_accepted_but_has_no_effect_is_failed_never_remediated() -> None:
    service = Service(a=False)
    service.put_value = lambda **parameters: service.writes.append(("put_value", parameters))  # type: ignore[method-assign]
    world = World(service, turn_on("a"))

    result = world.look()

    assert result["outcome"] == "FAILED"
    assert "not in effect" in result["why"]


def test_a_late_effect_is_pending_while_it_may_settle_and_failed_after() -> None:
    service = Service(a=False)
    service.put_value = lambda **parameters: {}  # type: ignore[method-assign]
    world = World(service, turn_on("a"), settles=90)

    assert world.look()["outcome"] == "PENDING"
    world.now = "2026-01-01T00:01:31+00:00"
    assert world.look()["outcome"] == "FAILED"


def test_a_busy_resource_is_pending_and_failed_when_its_time_is_over() -> None:
    service = Service(a=False)
    service.busy = ["modifying"] * 9
    world = World(service, turn_on("a"), at_most=120)

    assert world.look() | {"seconds": 60} == world.look() | {"seconds": 60}
    assert service.writes == []
    world.now = "2026-01-01T00:02:01+00:00"
    result = world.look()
    assert result["outcome"] == "FAILED"
    assert "modifying" in result["why"]


def test_a_wait_ends_the_look_and_the_plan_is_made_anew_after_it() -> None:
    def plan(state: Json, target: Json) -> list[Json]:
        if not state["config"]["a"]:
            return [put("a", True, False), wait("a copy is made", 30), put("b", True, False)]
        return [] if state["config"]["b"] else [put("b", True, False)]

    world = World(Service(a=False, b=False), plan)

    first = world.look()
    assert (first["outcome"], first["why"], first["seconds"]) == ("PENDING", "a copy is made", 30)
    assert world.look()["outcome"] == "REMEDIATED"
    assert [c["parameters"]["Name"] for c in world.journal["undo"]] == ["b", "a"], "the last call is undone first"


def test_two_hundred_calls_are_a_look_and_the_rest_is_the_next() -> None:
    names = [f"n{i:03}" for i in range(250)]
    world = World(Service(**dict.fromkeys(names, False)), turn_on(*names))

    assert world.look()["outcome"] == "PENDING"
    assert len(world.service.writes) == 200
    assert world.look()["outcome"] == "REMEDIATED"
    assert len(world.journal["undo"]) == 250


def test_more_than_two_thousand_calls_are_refused_before_the_first() -> None:
    names = [f"n{i}" for i in range(2001)]
    world = World(Service(**dict.fromkeys(names, False)), turn_on(*names))

    assert world.look()["outcome"] == "FAILED"
    assert world.service.writes == []


def test_a_final_call_is_a_wall_that_no_undo_passes() -> None:
    def plan(state: Json, target: Json) -> list[Json]:
        if "old" not in state["config"]:
            return []
        gone = call("svc", "delete_value", {"Name": "old"}, final="the old copy is deleted")
        return [put("copy", True, None), gone]

    world = World(Service(old=True), plan)

    assert world.look()["outcome"] == "REMEDIATED"
    assert world.journal["undo"] == []
    assert world.take_back()["outcome"] == "FAILED"


def test_what_is_lost_is_named_when_the_rest_was_undone() -> None:
    def plan(state: Json, target: Json) -> list[Json]:
        if "password" not in state["config"]:
            return []
        return [
            put("key", "Inactive", "Active"),
            call("svc", "delete_value", {"Name": "password"}, lost="the password"),
        ]

    world = World(Service(key="Active", password=True), plan)
    world.look()

    result = world.take_back()

    assert result["outcome"] == "UNDONE"
    assert "the password" in result["why"]
    assert world.service.values["key"] == "Active"


def test_undo_leaves_alone_what_a_colleague_changed_since() -> None:
    world = World(Service(a=False, theirs=1), turn_on("a"))
    world.look()
    world.service.values["theirs"] = 2
    assert world.take_back()["outcome"] == "UNDONE"
    assert world.service.values == {"a": False, "theirs": 2}


def test_undo_is_skipped_where_what_it_would_give_back_was_changed_since() -> None:
    world = World(Service(a=False), turn_on("a"))
    world.look()
    world.service.values["a"] = "something else"

    result = world.take_back()

    assert result["outcome"] == "SKIPPED"
    assert "a" in result["why"]
    assert world.service.values["a"] == "something else"


def test_undo_of_what_is_as_before_already_makes_no_write() -> None:
    world = World(Service(a=False, b=False), turn_on("a", "b"))
    world.look()
    world.service.values |= {"a": False, "b": False}
    before = len(world.service.writes)

    assert world.take_back()["outcome"] == "UNDONE"
    assert len(world.service.writes) == before


def test_undo_plays_only_the_inverses_of_what_is_not_back_yet() -> None:
    world = World(Service(a=False, b=False), turn_on("a", "b"))
    world.look()
    world.service.values["a"] = False

    assert world.take_back()["outcome"] == "UNDONE"
    assert [w[1]["Name"] for w in world.service.writes] == ["a", "b", "b"]


def test_undo_of_a_repair_whose_end_could_not_be_read_is_judged_by_the_whole_configuration() -> None:
    world = World(Service(a=False), turn_on("a"))
    world.look()
    world.journal["after"] = world.journal["before"]
    world.service.put_value = lambda **parameters: {}  # type: ignore[method-assign]  # says 200 and does nothing

    result = world.take_back()

    assert result["outcome"] == "FAILED"
    assert "a" in result["why"]


def test_codes_that_are_fine_count_as_done_and_codes_to_retry_are_asked_again() -> None:
    service = Service(a=False, b=False)
    service.fails = {"a": [error("AlreadySo")], "b": [error("NotYet"), error("NotYet")]}

    def plan(state: Json, target: Json) -> list[Json]:
        todo = [put("b", True, False, retry=["NotYet"])] if not state["config"]["b"] else []
        return [put("a", True, False, fine=["AlreadySo"]), *todo] if todo else []

    world = World(service, plan)

    assert world.look()["outcome"] == "REMEDIATED"
    assert service.values["b"] is True


def test_an_answer_can_say_that_the_call_failed() -> None:
    service = Service(a=False)
    service.answers = {"a": {"Unsuccessful": [{"Error": {"Message": "no such role"}}]}}
    old = call("svc", "put_value", {"Name": "a", "Value": False})
    plan = [call("svc", "put_value", {"Name": "a", "Value": True}, undo=[old], fail_if="Unsuccessful[0].Error.Message")]
    world = World(service, lambda state, target: [] if state["config"]["a"] else plan)

    result = world.look()

    assert result["outcome"] == "FAILED"
    assert "no such role" in result["why"]


def test_an_explained_code_says_what_to_do() -> None:
    service = Service(a=False)
    service.fails = {"a": [error("Denied")]}
    explained = [put("a", True, False, explain={"Denied": "ask the key's owner"})]
    world = World(service, lambda state, target: [] if state["config"]["a"] else explained)

    assert world.look()["to_do"] == "ask the key's owner"


@pytest.mark.parametrize("code", ["Throttling", "RequestLimitExceeded", "SlowDown"])
def test_a_passing_error_is_tried_again_later(code: str) -> None:
    service = Service(a=False)
    service.fails = {"a": [error(code)]}
    world = World(service, turn_on("a"))

    assert world.look()["outcome"] == "RETRY"
    assert world.look()["outcome"] == "REMEDIATED"


def test_a_time_out_plays_the_inverse_since_the_call_may_have_taken_effect() -> None:
    service = Service(a=False)
    service.fails = {"a": [ReadTimeoutError(endpoint_url="x")]}
    world = World(service, turn_on("a"))

    result = world.look()

    assert result["outcome"] == "RETRY"
    assert service.values["a"] is False


def test_what_could_not_be_taken_back_is_told_from_the_resource_not_from_return_codes() -> None:
    service = Service(a=False, b=False)
    service.fails = {"b": [error("Refused")], "a": []}
    world = World(service, turn_on("a", "b"))
    real = service.put_value

    def lies(**parameters: Any) -> Any:
        if parameters["Value"] is False:
            return {}  # says 200 and does nothing
        return real(**parameters)

    service.put_value = lies  # type: ignore[method-assign]

    result = world.look()

    assert result["outcome"] == "FAILED"
    assert "changed and not taken back: a" in result["why"]
    assert world.journal["undo"], "an undo can still be tried"


def test_a_look_that_died_after_saving_is_taken_up_and_its_undo_is_complete() -> None:
    world = World(Service(a=False, b=False), turn_on("a", "b"))

    def dies(**parameters: Any) -> Any:
        world.service.values[parameters["Name"]] = parameters["Value"]
        raise KeyboardInterrupt

    real, world.service.put_value = world.service.put_value, dies  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        world.look()
    world.service.put_value = real  # type: ignore[method-assign]
    world.journal = json.loads(world.saves[-1])

    assert world.look()["outcome"] == "REMEDIATED"
    assert world.take_back()["outcome"] == "UNDONE"
    assert world.service.values == {"a": False, "b": False}


def test_a_resource_that_is_gone_after_our_write_is_what_the_repair_meant() -> None:
    def plan(state: Json, target: Json) -> list[Json]:
        return [call("svc", "delete_value", {"Name": "a"}, final="deleted")]

    world = World(Service(a=True), plan)
    real = world.service.delete_value

    def delete(**parameters: Any) -> Any:
        real(**parameters)
        world.service.gone = True

    world.service.delete_value = delete  # type: ignore[method-assign]

    result = world.look()

    assert (result["outcome"], result["gone"]) == ("REMEDIATED", True)


def test_a_secret_answer_reaches_the_call_and_nothing_else() -> None:
    service = Service(done=False)
    hidden: list[str] = []

    def plan(state: Json, target: Json) -> list[Json]:
        if state["config"]["done"]:
            return []
        read = call("svc", "get_secret", {}, name="old", secret=True)
        write = call("svc", "put_document", {"Document": ref("old", "Document.Secret")}, lost="the old document")
        return [read, write]

    def put_document(**parameters: Any) -> Any:
        hidden.append(parameters["Document"])
        if len(hidden) == 1:
            raise error("Invalid", message="bad value canary")
        service.values["done"] = True
        return {}

    service.put_document = put_document  # type: ignore[attr-defined]
    world = World(service, plan)

    results = [world.look(), world.look()]

    assert hidden == ["canary", "canary"]
    assert [r["outcome"] for r in results] == ["FAILED", "REMEDIATED"]
    assert "canary" not in json.dumps([results, world.journal, world.saves])


def test_references_reach_into_answers_and_into_json() -> None:
    journal = new_journal("t")
    results = {"first": {"Id": "i-1", "Tags": [{"Key": "k"}]}}

    made = resolve({"A": ref("first", "Id"), "P": as_json({"k": [ref("first", "Tags[0].Key")]})}, results, journal)

    assert made == {"A": "i-1", "P": '{"k":["k"]}'}
    assert resolve(ref("attempt", "token"), {}, journal) == "t"
    with pytest.raises(CallFailed, match="has no Missing"):
        resolve(ref("first", "Missing"), results, journal)


def test_a_writing_call_without_undo_lost_final_or_kept_is_refused() -> None:
    world = World(Service(), lambda state, target: [call("svc", "put_value", {})])

    with pytest.raises(ValueError, match="none of undo, lost, final, kept"):
        plan_of(world.code, {"config": {}, "facts": {}}, {})


def test_another_region_is_refused_unless_the_remediation_may() -> None:
    made: list[tuple[str, str]] = []

    def make(service: str, region: str) -> object:
        made.append((service, region))
        return object()

    own = Aws(make, {"region": "us-east-1"}, "own", {})
    anywhere = Aws(make, {"region": "us-east-1"}, "bucket", {})

    with pytest.raises(CannotRepair):
        own.client("s3", "eu-west-1")
    anywhere.client("s3", "eu-west-1")
    assert made == [("s3", "eu-west-1")]


def test_a_preview_shows_the_plan_and_keeps_it_out_of_what_was_done() -> None:
    world = World(Service(a=False), turn_on("a"))

    result = preview(world.code, world, world.target, world.journal)

    assert result["outcome"] == "PREVIEWED"
    assert world.journal["plan"] == []
    assert world.service.writes == []


def test_a_difference_walks_dicts_and_takes_lists_whole() -> None:
    before = {"rules": {"a": 1, "b": 2}, "list": [1, 2]}
    after = {"rules": {"b": 3}, "list": [2, 1]}

    assert list(leaves(before, after)) == [("list",), ("rules", "a"), ("rules", "b")]
    assert at(before, ["rules", "a"]) == 1
    assert at(before, ["rules", "x", "y"]) is None


def read_late(state: Json, target: Json) -> list[Json]:
    """A plan whose undo reads the document when it is played, and puts what it read then."""
    if state["config"]["a"] != "off":
        return []
    late = call("svc", "get_secret", {}, name="now", secret=True, leaf=["a"])
    back = call("svc", "put_value", {"Name": "a", "Value": "off", "With": ref("now", "Document.Secret")}, leaf=["a"])
    return [call("svc", "put_value", {"Name": "a", "Value": "on"}, undo=[late, back])]


def test_an_undo_reads_late_and_no_record_holds_what_it_read() -> None:
    world = World(Service(a="off"), read_late)
    world.look()

    assert world.take_back()["outcome"] == "UNDONE"

    assert world.service.writes[-1][1]["With"] == "canary"
    assert "canary" not in json.dumps([world.journal, world.saves])


def test_a_rollback_reads_late_too() -> None:
    service = Service(a="off", b=False)
    service.fails["b"] = [error("Refused")]
    world = World(service, lambda state, target: [*read_late(state, target), *turn_on("b")(state, target)])

    result = world.look()

    assert result["restored"]
    assert service.writes[-1][1] == {"Name": "a", "Value": "off", "With": "canary"}
    assert "canary" not in json.dumps([result, world.journal, world.saves])


def test_an_undo_that_failed_after_its_late_read_reads_again() -> None:
    world = World(Service(a="off"), read_late)
    world.look()
    world.service.fails["a"] = [error("Throttling")]
    journal = new_journal("00000000-0000-0000-0000-000000000002")

    def take_back() -> Json:
        return undo(world.code, world, world.target, world.journal, journal, world.save, sleep=lambda s: None)

    assert take_back()["outcome"] == "RETRY"
    assert take_back()["outcome"] == "UNDONE"
    assert world.service.writes[-1][1]["With"] == "canary"


def test_the_inverse_of_a_look_that_died_reads_late() -> None:
    world = World(Service(a="off"), read_late)
    world.look()
    world.journal = json.loads(world.saves[0])  # the process died after its write

    world.look()

    assert world.take_back()["outcome"] == "UNDONE"
    assert world.service.writes[-1][1]["With"] == "canary"
