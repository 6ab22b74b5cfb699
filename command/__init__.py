"""The operator's command: runs on a person's machine, with that person's credentials in the admin account."""
