"""Pictures of a declared topology: what is in it, where it is put on a page, and how that is written."""
