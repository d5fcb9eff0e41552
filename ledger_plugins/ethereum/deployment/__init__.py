"""Creating the contracts, and the file that says where they are."""
