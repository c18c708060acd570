"""The names of the use cases that a sentence can mean, for those who need no sentences."""

from typing import Literal

UseCase = Literal[
    "build_dataset",
    "train_subagent_model",
    "monitor_training_job",
    "cancel_training_job",
    "evaluate_model_vs_baseline",
    "deploy_model_to_agent",
    "promote_canary",
    "rollback_deployment",
    "rollout_status",
    "reset_breaker",
    "simulate_canary",
    "list_agent_models",
    "convert_model_to_gguf",
    "resume_training_job",
    "search_hyperparameters",
    "list_costs",
    "run_experiment",
    "check_dataset",
    "show_dataset",
    "list_datasets",
    "list_endpoints",
    "endpoint_status",
    "wake_endpoint",
    "sleep_endpoint",
    "space_status",
]
