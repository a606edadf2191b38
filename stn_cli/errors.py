"""The errors a user may see. `cli.main` turns each into one line on stderr and an exit code."""


class StnError(Exception):
    """Something went wrong that the user can understand: one line, no traceback."""

    exit_code = 1


class OptionError(StnError):
    """An option, an argument or a file that describes the job is wrong; no image has been touched.

    `option` is spelled as the user types it (``--theta``), `value` as they gave it,
    `allowed` says what would do.
    """

    exit_code = 2

    def __init__(self, option: str, value: object, allowed: str) -> None:
        super().__init__(f"{option}: {_quote(value)}: {allowed}")
        self.option, self.value, self.allowed = option, value, allowed

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.option, self.value, self.allowed)


class FileError(StnError):
    """One file cannot be read, warped or written; the others go on."""

    def __init__(self, path: object, reason: str) -> None:
        super().__init__(f"{_quote(path)}: {reason}")
        self.path, self.reason = path, reason

    def __reduce__(self) -> tuple[object, ...]:  # errors travel between processes
        return type(self), (self.path, self.reason)


class MissingError(StnError):
    """Something optional is not there: a device, a library, a data set. The message says how to get it."""


def _quote(value: object, most: int = 120) -> str:
    text = str(value)
    text = text if len(text) <= most else text[: most - 1] + "…"
    return text if text.isprintable() and text == text.strip() and text else repr(text)
