"""For whoever adds a command, a view or a context: given what was done, when a command, then events or a refusal."""
