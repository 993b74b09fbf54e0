"""Adapter of WebhookSender: requests to webhook endpoints."""
