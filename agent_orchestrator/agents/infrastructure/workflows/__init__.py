"""The Infrastructure agent's workflows."""
