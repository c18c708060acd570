"""Our records in MLflow, where a server is named."""
