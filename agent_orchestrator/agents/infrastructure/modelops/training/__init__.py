"""Fine-tuning: what is trained from what, at which price, with which settings."""
