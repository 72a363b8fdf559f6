"""A small world with known answers: scenes, the training recipe and the benchmark.

Nothing here is imported at run time by the product; tests, training and evaluation use it.
"""
