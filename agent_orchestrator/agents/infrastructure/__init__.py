"""The infrastructure agent: what serves, trains and is rolled back."""
