"""The situations that the sections of docs/operations.md are for, each made for real."""
