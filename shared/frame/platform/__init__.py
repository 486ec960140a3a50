"""What all rooms use: settings, identity, telemetry, threads, and the models of what comes in and goes out."""
