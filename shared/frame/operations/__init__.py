"""The way in for people who operate the system."""
