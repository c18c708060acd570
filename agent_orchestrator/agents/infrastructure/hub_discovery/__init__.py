"""Finding things on the Hugging Face Hub: models, data sets, Spaces, papers, documentation."""
