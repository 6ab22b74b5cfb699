"""What the composer writes in place of this module: the remediation's own data and code. See sharr/compose.py."""

from __future__ import annotations

from typing import Any

REMEDIATION: dict[str, Any] = {}
Script: Any = None
