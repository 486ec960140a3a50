"""Orders at a moderate rate for minutes: does memory grow, does the lag? `python3 dev.py soak`.

The clients are the demo's, who keep a book. `samples` is what is measured meanwhile, `trends` what it says of growth.
"""
