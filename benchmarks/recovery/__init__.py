"""What the death of a process costs a lesson: signaling killed, the media node killed, again and again."""
