"""A program that prints a line longer than a log may have, and then another."""

import sys

if __name__ == "__main__":
    sys.stdout.write("x" * (2**20 + 1) + "\nthe next line\n")
