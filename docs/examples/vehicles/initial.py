"""Write the model that the vehicles begin with: `python initial.py model.safetensors`."""

import sys

from safetensors.torch import save_file
from vehicles.task import new_model

save_file(new_model().state_dict(), sys.argv[1])
