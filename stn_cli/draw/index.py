"""The page that `stn animate --all` writes beside the films."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from stn_cli.draw.scene import Stage


@dataclass(frozen=True)
class Entry:
    name: str
    title: str
    file: str
    lesson: str


def index_page(subject: str, entries: Sequence[Entry], stage: Stage, page: str | None) -> str:
    """HTML with every film, its title, and what to tell the students; `page` is the interactive page beside it."""
    theme = stage.theme
    figures = "\n".join(
        f'<figure id="{escape(entry.name)}"><h2>{escape(entry.title)}</h2>'
        f'<img src="{escape(entry.file)}" width="{stage.width}" height="{stage.height}" loading="lazy"'
        f' alt="{escape(entry.title)}">'
        f"<figcaption>{escape(entry.lesson)}</figcaption></figure>"
        for entry in entries
    )
    link = (
        f'<p><a href="{escape(page)}">A page to play with: drag the corners, hover the pixels</a></p>' if page else ""
    )
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The spatial transformer on {escape(subject)}</title>
<style>
body {{ font: 17px/1.5 system-ui, sans-serif; background: {theme.background}; color: {theme.ink};
  margin: 0 auto; padding: 1.5rem; max-width: 1400px }}
a {{ color: {theme.input} }}
main {{ display: grid; gap: 2rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 440px), 1fr)) }}
figure {{ margin: 0 }}
h2 {{ font-size: 1.15rem; margin: 0 0 .4rem }}
img {{ width: 100%; height: auto; border: 1px solid {theme.faint}; border-radius: 6px }}
figcaption {{ color: {theme.muted} }}
</style>
<h1>The spatial transformer on {escape(subject)}</h1>
{link}
<main>
{figures}
</main>
</html>
"""
