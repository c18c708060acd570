"""ModelOps in conversation: parse → (clarify) → price → approve → act → follow → propose."""
