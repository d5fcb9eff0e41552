"""Vehicles that learn together."""
