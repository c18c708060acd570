"""The Hugging Face Hub: what it says of a model, what a token may do, what goes to and fro."""
