"""`python -m fedledger.experiments.benchmarks.overhead`."""

import sys

from . import main

sys.exit(main())
