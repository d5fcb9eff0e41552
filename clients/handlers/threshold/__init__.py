"""Handlers of encrypted rounds: a trainer accepts keys, masks, signs a list, and opens its sum.

A trainer believes nobody about what is at stake: the terms and the other trainers come from the
task's specification, which it knows by itself; who masked what, from signatures; what may be
opened, from the product that it computed. What it has signed stands in its journal.
"""
