"""Files of a run: each appears whole or not at all."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from stn_cli.errors import FileError
from stn_cli.folders.atomic import alone


def write(path: Path, content: bytes, *, sync: bool = False) -> None:
    """Replace `path` by `content`, making its folder. Raises `FileError`; then what was there is there still."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with alone(path, overwrite=True, sync=sync) as (file, _):
            file.write(content)
    except OSError as error:
        raise FileError(path, f"cannot be written ({error.strerror or error})") from error


def write_picture(path: Path, picture: Image.Image, frames: Sequence[Image.Image] = (), **options: Any) -> None:
    """The same for a picture, or for a film of `picture` and `frames`."""
    content = BytesIO()
    film = {"save_all": True, "append_images": frames} if frames else {}
    picture.save(content, format=Image.registered_extensions()[path.suffix], **film, **options)
    write(path, content.getvalue())
