"""What a deployed round costs: ledger, signatures and store beside plain FedAvg.

    python -m fedledger.experiments.benchmarks.overhead [--seconds 30] [--devices 3]
        [--parameters 10000] [--rounds 3] [--turns 2] [--ways …] [--folder DIR] [--format json]

A SuperLink with TLS, and a SuperNode with a key for each device, as `fedledger edge init` makes
them, on this machine: all ways to train have the same processes, the same model, and training that
sleeps, since what is measured is everything around it. Ways take turns, in one run of Flower's. The
first round of a way and turn warms up and is not counted.

Flower asks and answers by polls, so a round's time comes in steps: a SuperNode that has answered
asks for its next message at once, and then every 3 s; its SuperExec looks for work once a second,
and starts a process for it; Flower's server looks for replies every 3 s, ours 20 times a second.
"""

from .running import main, measure_overhead

__all__ = ["main", "measure_overhead"]
