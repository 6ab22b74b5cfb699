"""Hostile findings and events, many, through the playbook function's handler: `python -m hostile`."""
