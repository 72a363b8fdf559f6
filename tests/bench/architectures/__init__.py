"""Large teachers at their true sizes with random weights, which cost what trained ones cost.

Nothing is downloaded: the numbers are those of the published config.json files, as far as they are
known; what is only inferred says so. `small=True` makes the same shapes tiny.
"""
