"""How results look to people, by theme."""
