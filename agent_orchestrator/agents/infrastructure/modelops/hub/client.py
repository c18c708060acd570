"""The Hub, by its own client: base models, what a token may do. Import it late: it loads slowly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Final

import httpx2  # the Hub client's own transport
from huggingface_hub import HfApi, get_session
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
)

from agent_orchestrator.agents.infrastructure.modelops.hub.tokens import PushRight, push_right
from agent_orchestrator.domain.base_facts import BaseFacts
from agent_orchestrator.domain.licences import read_licence
from agent_orchestrator.errors import (
    ChefError,
    ConfigurationError,
    FailedError,
    InputError,
    UnavailableError,
)

KEY: Final = "HUGGINGFACE_TOKEN"
_CALL_SECONDS: Final = 30.0
_ASKED: Final = ("safetensors", "gated", "cardData")
_REMEDY: Final = (
    "Name a local model, a preset, or add one to config/modelops/training_defaults.yaml."
)


class Hub:
    """The Hub as one token sees it. Blocking; may be shared by threads.

    Every method raises UnavailableError when the Hub does not answer, ConfigurationError for a
    token that is refused, FailedError for what else it refuses.
    """

    def __init__(self, token: str | None, endpoint: str | None = None) -> None:
        """``endpoint`` is the Hub's base URL, None for the public one."""
        self.token = token
        self._endpoint = endpoint

    @cached_property
    def api(self) -> HfApi:
        """The client."""
        get_session().timeout = httpx2.Timeout(_CALL_SECONDS)  # it would wait for ever
        # False: never a token that lies about on this machine.
        return HfApi(endpoint=self._endpoint, token=self.token or False)

    def base_model(self, model: str) -> BaseFacts:
        """Return what the Hub says of a base model that may be fine-tuned from.

        Raises InputError for a model that the Hub does not show to this token, that is gated and
        not open to it, or that has no safetensors weights.
        """
        try:
            with hub_failures(f"The Hub, asked for {model!r},"):
                info = self.api.model_info(model, expand=list(_ASKED))
                if info.gated:
                    self.api.auth_check(model)
        except GatedRepoError:
            raise self._gated(model) from None
        except (RepositoryNotFoundError, HFValidationError):
            raise InputError(
                f"The Hub has no model {model!r} that you may read.", remedy=_REMEDY
            ) from None
        if info.safetensors is None:
            raise InputError(
                f"{model} has no safetensors weights; pickles are never loaded.", remedy=_REMEDY
            )
        card: Mapping[str, Any] = vars(info.card_data) if info.card_data else {}
        licence = read_licence(
            _text(card.get("license")),
            _text(card.get("license_name")),
            _text(card.get("license_link")),
        )
        return BaseFacts(parameters=float(info.safetensors.total), licence=licence)

    def _gated(self, model: str) -> InputError:
        page = f"{self.api.endpoint}/{model}"
        opened = "with the account of that token" if self.token else f"and set {KEY}"
        return InputError(
            f"{model} is gated: its authors let in who has accepted their terms, and "
            f"{'your token has no access' if self.token else 'there is no token'}.",
            remedy=f"Open {page}, accept the terms {opened}, and wait until access is granted; a "
            "fine-grained token also needs 'Read access to public gated repos'.",
        )

    def remove(self, model: str) -> None:
        """Delete a model's repository; one that is not there is gone already.

        Raises ConfigurationError (the token may not), UnavailableError, FailedError.
        """
        with hub_failures(f"The Hub, asked to delete {model},"):
            self.api.delete_repo(model, missing_ok=True)

    def check_push(self, namespace: str, *, jobs: bool = False) -> PushRight:
        """Return whose token it is, if it may write for ``namespace`` (and run jobs there).

        Raises ConfigurationError that says what is missing.
        """
        if self.token is None:
            raise ConfigurationError(f"{KEY} is not set.", remedy=f"Set {KEY}: see .env.template.")
        with hub_failures("The Hub, asked whose token that is,"):
            told = self.api.whoami()
        return push_right(told, namespace, jobs=jobs)


@contextmanager
def hub_failures(what: str) -> Iterator[None]:
    """Turn what the Hub's client raises into our errors; ``what`` begins the message.

    A repository that is hidden or gated, and an impossible name, are left to the caller.
    """
    try:
        yield
    except (GatedRepoError, RepositoryNotFoundError, HFValidationError):
        raise
    except HfHubHTTPError as error:
        raise _refusal(what, error) from error
    # RuntimeError: another thread closed the session, as the client does before it tries again.
    except (httpx2.HTTPError, OSError, ValueError, RuntimeError) as error:
        raise UnavailableError(
            f"{what} does not answer: {type(error).__name__}.", remedy="Try again."
        ) from error


def _refusal(what: str, error: HfHubHTTPError) -> ChefError:
    status = error.response.status_code
    told = error.server_message or error.response.headers.get("X-Error-Message") or ""
    said = " ".join(told.split()) or f"status {status}"
    if status in {401, 403}:
        return ConfigurationError(
            f"{what} refused the token: {said}.",
            remedy=f"{KEY} needs write access to MODELOPS_HUB_ORG: huggingface.co/settings/tokens.",
        )
    if status == 402:  # noqa: PLR2004
        return ConfigurationError(
            f"{what} wants to be paid: {said}.", remedy="Add credits or a payment method there."
        )
    if status == 429 or status >= 500:  # noqa: PLR2004
        return UnavailableError(f"{what} does not answer: {said}.", remedy="Try again later.")
    return FailedError(f"{what} refused: {said}.", remedy="See status.huggingface.co.")


def _text(value: Any) -> str | None:
    """Return a card's value; a list of licences is shown as one."""
    if isinstance(value, list):
        return ", ".join(map(str, value)) or None
    return None if value is None else str(value)
