"""Workflows that change the configuration of network devices."""
