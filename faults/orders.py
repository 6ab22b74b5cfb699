"""All buttons pressed at once on one finding, and their events come in every order."""

from __future__ import annotations

import traceback
from itertools import permutations

from faults.copies import Tried, in_a_copy
from faults.invariants import after_buttons
from faults.stage import Scene
from sharr.finding import CUSTOM_ACTIONS


def in_every_order(scene: Scene) -> list[Tried]:
    """Return what became of the finding in each order of its buttons' events, each tried in a copy."""
    tried = []
    for order in permutations(CUSTOM_ACTIONS):
        name = ", ".join(action.trigger for action in order)
        copy = in_a_copy(Tried(scene.remediation.id, "buttons", "buttons", name, 0, "messages in another order"))
        if copy.sender is None:
            tried.append(copy.said)
            continue
        try:
            scene.publish(Workflow={"Status": "NOTIFIED"})
            scene.stage.world.run()
            for action in order:
                scene.press(action)
            seen = scene.seen(scene.stage.settle())
        except BaseException:  # noqa: BLE001  # the copy must not go on as if it were the original
            copy.say("", [f"the harness: {traceback.format_exc()[-1500:]}"])
        copy.say(", ".join(a.outcome for a in seen.attempts), after_buttons(seen, len(order)))
    return tried
