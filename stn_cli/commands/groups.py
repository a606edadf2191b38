"""Options that several commands share, as dataclasses: a command takes the group, its users see the single options.

@dataclass
class Colours:
    ink: Annotated[str, typer.Option(help="…")] = "black"

@with_groups
def draw(path: Path, colours: Colours) -> None: ...      # stn draw PATH --ink …
"""

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import Any


def with_groups(command: Callable[..., Any]) -> Callable[..., Any]:
    """`command` with every parameter that is annotated with a dataclass replaced by that dataclass's fields."""
    signature = inspect.signature(command)
    groups: dict[str, Any] = {p.name: p.annotation for p in signature.parameters.values() if is_dataclass(p.annotation)}
    flat: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        if parameter.name in groups:
            flat += [_keyword(field.name, field.default, field.type) for field in fields(groups[parameter.name])]
        else:
            flat.append(_keyword(parameter.name, parameter.default, parameter.annotation))

    @wraps(command)
    def call(**given: Any) -> Any:
        built = {
            name: group(**{field.name: given.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        return command(**given, **built)

    call.__doc__ = _flowing(command.__doc__ or "")
    call.__signature__ = signature.replace(parameters=flat)  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in flat}
    return call


def _flowing(text: str) -> str:
    """A docstring with one line a paragraph: Typer breaks lines where they end, the terminal should."""
    blocks = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(block if block.startswith(("    ", "\b")) else " ".join(block.split()) for block in blocks)


def _keyword(name: str, default: Any, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
