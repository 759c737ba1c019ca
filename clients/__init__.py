"""What people hold: the web pages (`web/`), the Python SDK (`python/`), the command line (`cli/`)."""
