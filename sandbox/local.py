"""What the endpoint and those who talk to it on this machine agree on."""

from __future__ import annotations

from sharr.finding import CUSTOM_ACTIONS

USUAL_PORT = 4747
KEY = "sandbox"
"""Access key id and secret for the admin account: a key that belongs to nobody is an administrator of it."""
ADMINISTRATOR_ROLE = "sandbox-administrator"
"""Role in every account, by which the admin account gets into it."""
CONTROL_PATH = "/sharr-sandbox/"
BUTTONS = {action.trigger: action for action in CUSTOM_ACTIONS}
