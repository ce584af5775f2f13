"""HTML from the templates, in the look that all pages share."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from pathlib import Path

import jinja2

from colorize_core import __version__

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, script: str | None = None, **context) -> str:
    """A page with everything escaped but style sheets, its script and what is marked safe; a missing name raises.

    ``script`` names a file of the templates. The page's content security policy allows that one by its digest, and no
    other.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"moment": moment, "number": lambda n: f"{n:,}"}
    code = (TEMPLATES / script).read_text() if script else ""
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    values = context | {"script": code, "script_digest": digest, "version": __version__}
    return environment.get_template(template).render(values)


def moment(time: datetime | str | None) -> str:
    """A time, or its ISO 8601 text, in words."""
    if time is None:
        return "at an unknown time"
    time = datetime.fromisoformat(time) if isinstance(time, str) else time
    return time.astimezone(UTC).strftime("%-d %B %Y, %H:%M UTC")
