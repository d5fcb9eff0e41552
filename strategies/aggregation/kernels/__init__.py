"""What the rules are made of: compiled sums, order statistics, distances and Krum's choice.

A kernel reads checked rows where they lie and computes in one stated order, whatever the number of
threads and the width of the processor's vectors. The module that computes something names its
arithmetic, with a version, beside it; docs/formats.md says in words what each name means. What is
compiled stands in `compiled`, and is loaded with the first result.
"""
