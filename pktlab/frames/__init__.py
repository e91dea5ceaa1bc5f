"""Captured frames: their headers, their words, their journeys, their paths, their files. Data in, data out."""
