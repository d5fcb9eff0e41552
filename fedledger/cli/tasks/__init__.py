"""Commands about a training task: its models, its clients and members, its rollbacks."""
