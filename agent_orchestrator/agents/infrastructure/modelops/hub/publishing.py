"""Publishing an artifact of this machine on the Hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

from agent_orchestrator.agents.infrastructure.modelops.hub.client import Hub, hub_failures
from agent_orchestrator.errors import ConfigurationError


def publish(hub: Hub, folder: Path, repo: str, message: str) -> str:
    """Upload the folder's files to a repository, private when it is new; return its page.

    Files that are there already stay, so that several types of one model share a repository.
    Raises ConfigurationError for a token that may not, UnavailableError, FailedError.
    """
    try:
        with hub_failures(f"The Hub, asked to take {repo!r},"):
            url = hub.api.create_repo(repo, private=True, exist_ok=True)
            hub.api.upload_folder(repo_id=repo, folder_path=folder, commit_message=message)
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise ConfigurationError(
            f"The Hub has no repository {repo!r} that this token may write.",
            remedy="Check output_repo and the token's rights.",
        ) from error
    return str(url)
