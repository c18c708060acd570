"""Skills: what an agent can read up when its task needs it, instead of carrying it in its prompt.

A skill is a folder with a ``SKILL.md``: front matter (``name``, ``description``) and instructions,
and further pages below ``reference/``. Names and descriptions are read at once, bodies on demand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml.error import YAMLError

from agent_orchestrator.agents.infrastructure.modelops.usecases.base import Request
from agent_orchestrator.agents.infrastructure.modelops.usecases.requests import validated
from agent_orchestrator.errors import NotFoundError, SettingsError
from agent_orchestrator.stores.yaml_text import load_yaml

LOAD_SKILL: Final = "load_skill"
"""The name of the tool."""
_PAGE: Final = "SKILL.md"
_FRONT: Final = re.compile(r"\A---\n(.*?\n)---\n", re.DOTALL)


class _FrontMatter(BaseModel):
    """The head of a ``SKILL.md``, with the limits that agent skills have."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
    description: Annotated[str, Field(min_length=1, max_length=1024)]


class LoadSkill(Request):
    """Read up how something is done here, before you do it."""

    name: str
    """One of the skills."""
    page: str = _PAGE
    """A further page that the skill names, e.g. reference/troubleshooting.md."""


@dataclass(frozen=True, slots=True)
class Skill:
    """One skill, without its body."""

    name: str
    description: str
    pages: Mapping[str, Path]
    """``SKILL.md`` and the pages below ``reference/``, by the names they are asked for."""


class Skills:
    """The skills of a folder."""

    def __init__(self, folder: Path) -> None:
        """Read names and descriptions. Raises SettingsError for a skill that is not well formed."""
        found = (_read(page) for page in sorted(folder.glob(f"*/{_PAGE}")))
        self.all: Mapping[str, Skill] = {skill.name: skill for skill in found}

    def asked_for(self, arguments: Mapping[str, Any]) -> str:
        """Return the page that a model's call of the tool asks for. Raises InputError."""
        given = validated(LOAD_SKILL, LoadSkill, arguments)
        return self.load(given.name, given.page)

    def load(self, name: str, page: str = _PAGE) -> str:
        """Return a page of a skill as text. Raises NotFoundError that names those there are.

        Both names are looked up among those that were found, and never made into a path.
        """
        skill = self.all.get(name)
        if skill is None:
            raise NotFoundError(
                f"There is no skill {name!r}.", remedy=f"There are: {', '.join(self.all)}."
            )
        path = skill.pages.get(page)
        if path is None:
            raise NotFoundError(
                f"The skill {name} has no page {page!r}.",
                remedy=f"It has: {', '.join(skill.pages)}.",
            )
        return _FRONT.sub("", path.read_text(encoding="utf-8")).strip()


def skill_tool(skills: Skills) -> dict[str, Any]:
    """Return the tool that loads a skill; it describes those there are, without their bodies."""
    known = "".join(f"\n- {skill.name}: {skill.description}" for skill in skills.all.values())
    return {
        "type": "function",
        "function": {
            "name": LOAD_SKILL,
            "description": f"{LoadSkill.__doc__} The skills are:{known}",
            "parameters": LoadSkill.model_json_schema(),
        },
    }


def skills_folder() -> Path:
    """Return where the skills are: in the installed package, or beside it in a checkout."""
    package = Path(__file__).parents[2]
    packaged = package / "skills"
    return packaged if packaged.is_dir() else package.parent / "support" / "skills"


def _read(page: Path) -> Skill:
    match = _FRONT.match(page.read_text(encoding="utf-8"))
    try:
        front = _FrontMatter.model_validate(load_yaml(match[1] if match else ""))
    except (ValidationError, YAMLError) as error:
        raise SettingsError(
            f"{page} has no front matter with name and description: {error}",
            remedy="Begin it with ---, name: …, description: …, ---.",
        ) from None
    if front.name != page.parent.name:
        raise SettingsError(
            f"{page} is named {front.name!r}.", remedy=f"Name it {page.parent.name!r}."
        )
    pages = {_PAGE: page}
    for further in sorted(page.parent.glob("reference/*.md")):
        pages[f"reference/{further.name}"] = further
    return Skill(front.name, front.description, pages)
