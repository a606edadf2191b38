"""Results as plain data, for `stn gradcheck --json`. The schema is documented in docs/gradients.md and kept stable."""

import math
from dataclasses import asdict
from typing import Any

import torch

from stn_cli import __version__
from stn_cli.core.gradients.check import worst_of
from stn_cli.core.gradients.problem import Element, Result

SCHEMA = "stn.gradcheck/1"


def record(results: list[Result], settings: dict[str, Any]) -> dict[str, Any]:
    """The whole run: JSON-able, numbers that are not finite as null."""
    return {
        "schema": SCHEMA,
        "stn": __version__,
        "torch": torch.__version__,
        "settings": settings,
        "verdict": str(worst_of(results)),
        "failed": sum(result.failed for result in results),
        "results": [_result(result) for result in results],
    }


def _result(result: Result) -> dict[str, Any]:
    kinks = asdict(result.kinks)
    return {
        "stage": result.problem.stage,
        "subject": result.problem.subject,
        "settings": result.problem.settings,
        "verdict": str(result.verdict),
        "failed": result.failed,
        "reason": result.reason,
        "checked": result.checked,
        "absolute_error": _number(result.absolute),
        "relative_error": _number(result.relative),
        "by_hand_error": _number(result.by_hand),
        "value_error": _number(result.value_by_hand),
        "slope": _number(result.slope),
        "worst": _element(result.worst),
        "kinks": {
            **{name: kinks[name] for name in ("count", "right", "left", "between", "outside", "jumps")},
            "example": _element(result.kinks.example),
        },
        "nondeterminism": _number(result.nondeterminism),
        "noise": _number(result.noise),
        "steps": None if result.steps is None else list(result.steps),
        "notes": list(result.problem.notes),
    }


def _element(element: Element | None) -> dict[str, Any] | None:
    if element is None:
        return None
    return {key: _number(value) if not isinstance(value, str) else value for key, value in asdict(element).items()}


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
