"""Every call of every function, runbook and script made to fail, one at a time. Development only."""
