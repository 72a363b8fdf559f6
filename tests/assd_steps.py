"""A step of ASSD with one noise, as the loop takes it."""

from sds.assd import assd_score, finished


def assd_gradient(teachers, prompts, method, x, x_src, *rest, **named):
    """What to descend along."""
    score = assd_score(teachers, prompts, method, x, x_src, *rest, **named)
    return finished(method, score.said, x, x_src)
