"""One module for each thing that majobctl does, without a command line."""
