"""Airtable: records are read from it, films and statuses are delivered to it.

Outside facts are from https://airtable.com/developers/web/api/ (errors, rate limits, field model, upload
attachment) and from measurements of pyairtable 3.5.
"""
