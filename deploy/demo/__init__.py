"""The demonstration: the whole system live, its verdicts on the screen."""
