"""Uploads and downloads at limited rates: the store beside SFTP (Bift, figures 13 and 14)."""
