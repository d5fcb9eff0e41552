"""The frame of a round: phases, the three kinds of rounds, and what they leave behind."""
