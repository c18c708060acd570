"""The closed classes of words that the grammar knows. Data only; the rules stand elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


def words(text: str) -> frozenset[str]:
    """Return the words of ``text``: how a class of words is written down."""
    return frozenset(text.split())


AGENTS: Final = (
    "supervisor",
    "feature_dev",
    "code_review",
    "cicd",
    "documentation",
    "infrastructure",
)
CHEF: Final = frozenset({"chef", "codechef", "code-chef", "code/chef"})

#: Spellings that name an agent wherever they stand: nobody writes them by chance.
IDENTIFIERS: Final = words(
    "feature_dev feature-dev featuredev featuredeveloper feature_developer code_review codereview "
    "code_reviewer codereviewer cicd ci_cd"
) | {"feature dev", "feature developer", "feature devs"}
#: Every spelling in one token → canonical name. Those outside IDENTIFIERS are also everyday words.
AGENT_NAMES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("supervisor", "super-visor", "orchestrator"), "supervisor"),
    **dict.fromkeys(
        ("feature_dev", "feature-dev", "featuredev", "featuredeveloper", "feature_developer"),
        "feature_dev",
    ),
    **dict.fromkeys(
        words(
            "code_review code-review codereview code_reviewer code-reviewer codereviewer reviewer"
        ),
        "code_review",
    ),
    **dict.fromkeys(("cicd", "ci_cd", "ci-cd", "ci/cd", "ci&cd", "ci+cd"), "cicd"),
    **dict.fromkeys(("documentation", "docs", "documenter"), "documentation"),
    **dict.fromkeys(("infrastructure", "infra"), "infrastructure"),
}


def typos(word: str, *, swaps_only: bool = False) -> set[str]:
    """The commonest slips: two letters swapped, one dropped, one doubled."""
    swapped = {word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in range(len(word) - 1)}
    if swaps_only:
        return swapped - {word}
    dropped = {word[:i] + word[i + 1 :] for i in range(1, len(word))}
    doubled = {word[:i] + word[i] + word[i:] for i in range(len(word))}
    return (swapped | dropped | doubled) - {word}


MISSPELLED_AGENTS: Final[Mapping[str, str]] = {
    typo: AGENT_NAMES[name]
    for name in ("supervisor", "feature_dev", "code_review", "documentation", "infrastructure")
    for typo in typos(name)
    if typo not in AGENT_NAMES
}

#: One-token spellings → the form the rules use.
SPELLINGS: Final[Mapping[str, str]] = {
    **{f"fine-tun{end}": f"finetun{end}" for end in ("e", "es", "ed", "ing")},
    **{f"post-train{end}": f"train{end}" for end in ("", "ed", "ing")},
    **{f"re-train{end}": f"retrain{end}" for end in ("", "s", "ed", "ing")},
    **{f"re-evaluat{end}": f"evaluat{end}" for end in ("e", "ed", "ing", "ion")},
    **{f"re-deploy{end}": f"redeploy{end}" for end in ("", "ed", "ing", "ment")},
    "roll-back": "rollback",
    "roll-out": "rollout",
    "finetune": "finetune",
    "data-set": "dataset",
    "data-sets": "datasets",
    "set-up": "setup",
    "blue-green": "blue_green",
    "blue/green": "blue_green",
    "bluegreen": "blue_green",
    "blue_green": "blue_green",
    "a/b": "ab",
    "a-b": "ab",
    "champion-challenger": "champion_challenger",
    "champion/challenger": "champion_challenger",
    "champion_challenger": "champion_challenger",
    "self-hosted": "self_hosted",
    "self_hosted": "self_hosted",
    "selfhosted": "self_hosted",
    "open-router": "openrouter",
    "hugging-face": "huggingface",
    "hf_space": "hf_space",
    "hf-space": "hf_space",
    "hf_jobs": "hf_jobs",
    "hf-jobs": "hf_jobs",
    "circuit-breaker": "breaker",
    "sub-agent": "agent",
    "llama.cpp": "llama.cpp",
    "learning-rate": "learning_rate",
    "learning_rate": "learning_rate",
    "batch-size": "batch_size",
    "batch_size": "batch_size",
    "num_epochs": "epochs",
    "lora_rank": "rank",
    "lora_alpha": "alpha",
    "max_length": "max_length",
    "max-length": "max_length",
    "max_steps": "max_steps",
    "weight_decay": "weight_decay",
    "warmup_ratio": "warmup_ratio",
    "gradient_accumulation": "gradient_accumulation",
    "token_efficiency": "token_efficiency",
    "workflow_completeness": "workflow_completeness",
    "latency_threshold": "latency_threshold",
    "mcp_integration_quality": "mcp_integration_quality",
    "risk_assessment_accuracy": "risk_assessment_accuracy",
    "agent_routing_accuracy": "agent_routing_accuracy",
    "base-model": "base_model",
    "base_model": "base_model",
    "on-prem": "self_hosted",
    "canceling": "cancelling",
    "hyper-parameter": "hyperparameter",
    "hyper-parameters": "hyperparameters",
    "learning-rates": "learning_rate",
}

#: Terms of several words → (kind, canonical form).
TERMS: Final[Mapping[str, tuple[str, str]]] = {
    "feature dev": ("agent", "feature_dev"),
    "feature devs": ("agent", "feature_dev"),
    "feature developer": ("agent", "feature_dev"),
    "feature development agent": ("agent", "feature_dev"),
    "code review": ("agent", "code_review"),
    "code reviewer": ("agent", "code_review"),
    "code reviewing": ("agent", "code_review"),
    "ci cd": ("agent", "cicd"),
    "ci and cd": ("agent", "cicd"),
    "ci / cd": ("agent", "cicd"),
    **{
        f"{prefix} {noun}": ("agent", agent)
        for noun in ("agent", "bot", "subagent")
        for prefix, agent in (
            ("feature", "feature_dev"),
            ("dev", "feature_dev"),
            ("review", "code_review"),
            ("ci", "cicd"),
            ("cd", "cicd"),
            ("pipeline", "cicd"),
            ("doc", "documentation"),
            ("docs", "documentation"),
            ("documentation", "documentation"),
            ("infra", "infrastructure"),
            ("infrastructure", "infrastructure"),
            ("supervisor", "supervisor"),
            ("supervising", "supervisor"),
            ("routing", "supervisor"),
        )
    },
    **{
        f"{prefix} writer": ("agent", "documentation")
        for prefix in ("doc", "docs", "documentation")
    },
    "data set": ("word", "dataset"),
    "data sets": ("word", "datasets"),
    "training data": ("word", "dataset"),
    "training data set": ("word", "dataset"),
    "training dataset": ("word", "dataset"),
    "evaluation data set": ("word", "dataset"),
    "evaluation dataset": ("word", "dataset"),
    "eval dataset": ("word", "dataset"),
    "training set": ("word", "dataset"),
    "training examples": ("word", "dataset"),
    "training corpus": ("word", "dataset"),
    "eval set": ("word", "dataset"),
    "evaluation set": ("word", "dataset"),
    "test set": ("word", "dataset"),
    "preference pairs": ("word", "dataset"),
    "preference data": ("word", "dataset"),
    "hyper parameter": ("word", "hyperparameter"),
    "hyper parameters": ("word", "hyperparameters"),
    **{
        f"{prefix} {noun}": ("word", "search")
        for prefix in ("hyperparameter", "hyperparameters", "hyper parameter", "hyper-parameter")
        for noun in ("search", "sweep", "tuning", "optimization", "optimisation", "scan")
    },
    "learning rates": ("word", "learning_rate"),
    "lora ranks": ("word", "rank"),
    "batch sizes": ("word", "batch_size"),
    "inference endpoint": ("word", "endpoint"),
    "inference endpoints": ("word", "endpoints"),
    "training space": ("word", "space"),
    "trainer space": ("word", "space"),
    "wake up": ("word", "wake"),
    "search for": ("word", "find"),
    "let me see": ("word", "show"),
    "good enough": ("word", "fine"),
    "carry on with": ("word", "resume"),
    "go on with": ("word", "resume"),
    "all the way": ("word", "fully"),
    "in full": ("word", "fully"),
    "never mind": ("word", "nevermind"),
    "set up": ("word", "setup"),
    "at once": ("word", "immediately"),
    "all at once": ("word", "immediately"),
    "next step :": ("word", "next"),
    "take care of": ("word", "perform"),
    "proceed with": ("word", "perform"),
    "continue with": ("word", "perform"),
    "go ahead with": ("word", "perform"),
    "get started with": ("word", "start"),
    "get started on": ("word", "start"),
    "get going with": ("word", "start"),
    "4 bit": ("word", "4-bit"),
    "5 bit": ("word", "5-bit"),
    "8 bit": ("word", "8-bit"),
    "16 bit": ("word", "16-bit"),
    "pull the plug on": ("word", "cancel"),
    "pull together": ("word", "assemble"),
    "back out": ("word", "rollback"),
    "take down": ("word", "withdraw"),
    "model registry": ("word", "models"),
    "try out": ("word", "try"),
    "keep an eye on": ("word", "monitor"),
    "keep track of": ("word", "track"),
    "get rid of": ("word", "remove"),
    "w /": ("word", "with"),
    "fine tune": ("word", "finetune"),
    "fine tunes": ("word", "finetunes"),
    "fine tuned": ("word", "finetuned"),
    "fine tuning": ("word", "finetuning"),
    "re train": ("word", "retrain"),
    "roll back": ("word", "rollback"),
    "rolls back": ("word", "rollbacks"),
    "rolled back": ("word", "rollbacked"),
    "rolling back": ("word", "rollbacking"),
    "roll out": ("word", "rollout"),
    "rolled out": ("word", "rollouted"),
    "rolling out": ("word", "rollouting"),
    "kick off": ("word", "start"),
    "kicking off": ("word", "starting"),
    "kicked off": ("word", "started"),
    "fire off": ("word", "start"),
    "fire up": ("word", "start"),
    "spin up": ("word", "start"),
    "set off": ("word", "start"),
    "carry out": ("word", "perform"),
    "put together": ("word", "assemble"),
    "call off": ("word", "cancel"),
    "shut down": ("word", "stop"),
    "go live with": ("word", "deploy"),
    "hugging face": ("word", "huggingface"),
    "hf space": ("word", "hf_space"),
    "hf jobs": ("word", "hf_jobs"),
    "hf job": ("word", "hf_jobs"),
    "huggingface space": ("word", "hf_space"),
    "huggingface jobs": ("word", "hf_jobs"),
    "hugging face space": ("word", "hf_space"),
    "hugging face jobs": ("word", "hf_jobs"),
    "open router": ("word", "openrouter"),
    "self hosted": ("word", "self_hosted"),
    "self host": ("word", "self_hosted"),
    "blue green": ("word", "blue_green"),
    "a b test": ("word", "ab"),
    "ab test": ("word", "ab"),
    "champion challenger": ("word", "champion_challenger"),
    "circuit breaker": ("word", "breaker"),
    "circuit breakers": ("word", "breaker"),
    "learning rate": ("word", "learning_rate"),
    "batch size": ("word", "batch_size"),
    "lora rank": ("word", "rank"),
    "lora alpha": ("word", "alpha"),
    "max length": ("word", "max_length"),
    "max sequence length": ("word", "max_length"),
    "maximum length": ("word", "max_length"),
    "sequence length": ("word", "max_length"),
    "context length": ("word", "max_length"),
    "max steps": ("word", "max_steps"),
    "weight decay": ("word", "weight_decay"),
    "gradient accumulation": ("word", "gradient_accumulation"),
    "warmup ratio": ("word", "warmup_ratio"),
    "warm-up ratio": ("word", "warmup_ratio"),
    "base model": ("word", "base_model"),
    "supervised fine tuning": ("word", "sft"),
    "supervised finetuning": ("word", "sft"),
    "direct preference optimization": ("word", "dpo"),
    "direct preference optimisation": ("word", "dpo"),
    "preference optimization": ("word", "dpo"),
    "preference tuning": ("word", "dpo"),
    "group relative policy optimization": ("word", "grpo"),
    "odds ratio preference optimization": ("word", "orpo"),
    "token efficiency": ("word", "token_efficiency"),
    "workflow completeness": ("word", "workflow_completeness"),
    "latency threshold": ("word", "latency_threshold"),
    "mcp integration quality": ("word", "mcp_integration_quality"),
    "mcp integration": ("word", "mcp_integration_quality"),
    "tool use": ("word", "mcp_integration_quality"),
    "risk assessment accuracy": ("word", "risk_assessment_accuracy"),
    "risk assessment": ("word", "risk_assessment_accuracy"),
    "agent routing accuracy": ("word", "agent_routing_accuracy"),
    "routing accuracy": ("word", "agent_routing_accuracy"),
    "as soon as possible": ("word", "asap"),
    "as soon as": ("word", "once"),
    "as long as": ("word", "if"),
    "right now": ("word", "now"),
    "right away": ("word", "now"),
    "instead of": ("word", "excluding"),
    "rather than": ("word", "excluding"),
    "other than": ("word", "excluding"),
    "compared to": ("word", "against"),
    "compared with": ("word", "against"),
    "relative to": ("word", "against"),
    "in comparison to": ("word", "against"),
    "based on": ("word", "based_on"),
    "starting from": ("word", "based_on"),
    "on top of": ("word", "based_on"),
    "initialised from": ("word", "based_on"),
    "initialized from": ("word", "based_on"),
    "once more": ("word", "again"),
    "once again": ("word", "again"),
    "no one": ("word", "nobody"),
    "by means of": ("word", "with"),
    "by no means": ("word", "never"),
    "in no case": ("word", "never"),
    "under no circumstances": ("word", "never"),
    "on no account": ("word", "never"),
    "at no point": ("word", "never"),
    "in case": ("word", "if"),
    "provided that": ("word", "if"),
    "assuming that": ("word", "if"),
    "given that": ("word", "because"),
    "now that": ("word", "because"),
    "so that": ("word", "because"),
    "even though": ("word", "because"),
    "is not it": ("word", "right"),
}


_PRONOUNS: Final = ("i", "you", "he", "she", "it", "we", "they", "that", "there", "who", "what")
_SHORT: Final = {"m": "am", "d": "would", "ll": "will", "re": "are", "ve": "have", "s": "is"}
CONTRACTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    **{f"{p}'{short}": (p, full) for p in _PRONOUNS for short, full in _SHORT.items()},
    **{f"{w}'s": (w, "is") for w in ("how", "where", "when", "why", "here")},
    "let's": ("lets",),
    "how'd": ("how", "did"),
    "can't": ("can", "not"),
    "cannot": ("can", "not"),
    "won't": ("will", "not"),
    "shan't": ("shall", "not"),
    "dont": ("do", "not"),
    "doesnt": ("does", "not"),
    "didnt": ("did", "not"),
    "cant": ("can", "not"),
    "wont": ("will", "not"),
    "shouldnt": ("should", "not"),
    "im": ("i", "am"),
    "whats": ("what", "is"),
    "hows": ("how", "is"),
    "gonna": ("going", "to"),
    "wanna": ("want", "to"),
    "gotta": ("have", "to"),
    "gimme": ("give", "me"),
    "lemme": ("let", "me"),
    "pls": ("please",),
    "plz": ("please",),
    "w/o": ("without",),
    "ya": ("you",),
}

NUMBER_WORDS: Final[Mapping[str, float]] = {
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "twelve": 12,
    "fifteen": 15,
    "twenty": 20,
    "twenty-five": 25,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "seventy": 70,
    "eighty": 80,
    "ninety": 90,
    "hundred": 100,
}
FRACTIONS: Final[Mapping[str, float]] = {
    "half": 50,
    "third": 33,
    "quarter": 25,
    "fifth": 20,
    "tenth": 10,
}
#: Parts of names that say "language model".
MODEL_FAMILIES: Final = words(
    "qwen llama phi- mistral mixtral gemma deepseek starcoder smollm falcon codegen gpt granite "
    "codestral yi-coder stablelm olmo bloom claude gemini devstral"
)
#: ``a/b`` with one of these on either side joins words; it names no repository.
NEVER_IN_REPO: Final = words(
    "and or train test tests dev prod staging input output read write client server on off yes no "
    "true false he she his her start stop pass fail i o get set post put push pull in out up down "
    "left right before after request response frontend backend ui ux api src lib bin etc origin "
    "feature feat bugfix hotfix fix main master release either n a w html css js tcp ip encoder "
    "decoder load save import export create update delete"
)
