"""Where clips, films and posters are kept."""
