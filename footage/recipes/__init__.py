"""Recipes: named complete configurations, each a method at a scale."""
