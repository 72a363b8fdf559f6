"""Teachers: which there are, what each asks for, and how it comes into this machine's memory."""
