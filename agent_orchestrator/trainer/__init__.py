"""The training worker: one job, one process, one folder.

``python -m agent_orchestrator.trainer JOB_DIR`` reads what to do from the folder and leaves there
everything there is to know. It imports nothing else of this project, so that the same worker runs
on this machine, in a Space and as a Hugging Face Job; only ``.venv-trainer`` (TRL) and
``.venv-autotrain`` (AutoTrain) have what it imports: the job's engine decides which one runs it.

Job folder, protocol 1
----------------------
In:

``spec.json``
    ``{"protocol": 1, "job_id", "engine": "trl" | "autotrain", "method": "sft" | "dpo" | "grpo" |
    "orpo", "base_model", "base_revision", "dataset": {"train", "validation", "name"}, "output_dir",
    "hyperparameters": {…}, "model_card": {…}, "push_to_hub": null | {"repo", "private"},
    "max_seconds", "threads", "sandbox": {…}, "trackio": null | {"project", "space"}}``;
    ``spec.py`` holds every key with its unit, range and default. Paths are relative to the job
    folder. An unknown key is refused by name (``bad_spec``).
``train.jsonl``, ``validation.jsonl`` (as the spec names them)
    One JSON object a line. ``sft``: ``messages`` (``[{"role", "content"}, …]``, the assistant
    speaks last) or ``prompt`` and ``completion``; the loss is on the last answer only. ``dpo``:
    ``prompt`` (a text or messages), ``chosen`` and ``rejected``. ``grpo``: ``problem`` (a text or
    messages) and what its rewards need (``rewards.py``).
``HUGGINGFACE_TOKEN``
    From the environment; for gated base models and for pushing.

Out:

``progress.jsonl``
    One event a line, flushed: ``at`` (seconds since the epoch), ``event`` (``started``,
    ``loading``, ``tokenizing``, ``step``, ``validation``, ``checkpoint``, ``saving``,
    ``completed``, ``failed``, ``cancelled``), ``message``, and for a step ``step, total_steps,
    loss, learning_rate, eta_seconds``. ``loss`` is the mean since the line before. The first line
    stands before any heavy import.
``checkpoints/checkpoint-N/``
    Everything to go on from step N without a pickle (``checkpoints.py``), every
    ``checkpoint_steps`` steps and when cancelled; the last two. A worker that is started again in
    the same folder goes on from the newest.
``tensorboard/``
    Event files.
``failure.json``
    ``{"kind", "message", "remedy"}``, as far as the disk still takes it.
``output_dir``
    The artifact: safetensors, tokenizer, model card. It appears whole or not at all.
``manifest.json``
    Written last: that it exists means that the job is complete.

SIGTERM cancels: what was trained so far becomes a checkpoint. Exit status: 0 completed, 1 failed,
143 cancelled.
"""
