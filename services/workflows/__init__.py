"""Runs workflows: steps that are tasks, each after those it depends on, whatever dies in between."""
