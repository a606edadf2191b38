"""Code that the user names on the command line: PACKAGE.MODULE:CALLABLE."""

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stn_cli.errors import OptionError


def load(option: str, spec: str) -> Callable[..., Any]:
    """The callable that `spec` names; importing it runs the user's code. A class is called without arguments to make it.

    Modules are looked for in the current folder too. Raises `OptionError` for what cannot be imported, found or called.
    """
    module_name, colon, attribute = spec.partition(":")
    if not (colon and module_name and attribute):
        raise OptionError(option, spec, "PACKAGE.MODULE:CALLABLE")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
        found = found() if inspect.isclass(found) else found
    except Exception as error:  # whatever the user's code raises is theirs to read, in one line
        raise OptionError(option, spec, f"{type(error).__name__}: {error}") from error
    if not callable(found):
        raise OptionError(option, spec, "not callable")
    return found
