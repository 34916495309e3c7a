"""One module for each page that is written out of the code."""
