"""Reconcile runs over as many images as the largest installations have."""
