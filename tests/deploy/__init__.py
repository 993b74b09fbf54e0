"""Tests of the samples in deploy/, with the tools that read them."""
