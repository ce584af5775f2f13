"""HTML from the templates, in the look that all pages share."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import jinja2

from colorize_core import __version__

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **context) -> str:
    """A page with everything escaped but the style sheet and what is marked safe; a name that is missing raises."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"moment": moment, "number": lambda n: f"{n:,}"}
    style = (TEMPLATES / "page.css").read_text()
    return environment.get_template(template).render(style=style, version=__version__, **context)


def moment(time: datetime | str | None) -> str:
    """A time, or its ISO 8601 text, in words."""
    if time is None:
        return "at an unknown time"
    time = datetime.fromisoformat(time) if isinstance(time, str) else time
    return time.astimezone(UTC).strftime("%-d %B %Y, %H:%M UTC")
