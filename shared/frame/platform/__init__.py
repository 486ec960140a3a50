"""Used by all of the frame: settings, identity, telemetry, threads, and the models of inputs and answers."""
