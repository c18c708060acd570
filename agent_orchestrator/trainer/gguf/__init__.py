"""Conversion to GGUF: one job, one process, one folder, as the trainer's.

``python -m agent_orchestrator.trainer.gguf JOB_DIR`` reads ``spec.json`` (``spec.py`` has every
key), writes ``progress.jsonl`` on the way, ``failure.json`` when it fails and ``manifest.json``
last. It runs in the trainer's interpreter, with what ``make setup-gguf`` has put into one folder:
llama.cpp's converter and library.

1. An adapter is merged into its base.
2. llama.cpp's converter writes the model as GGUF in F16.
3. llama.cpp quantises that, unless F16 was asked for.
4. The file is opened again, and its tokenizer compared with the original's.
5. The artifact appears, whole: the file, an Ollama ``Modelfile``, a model card.
"""
