"""What to remember: the buffer, and policies that say in integers what to merge and what to forget."""
