"""What recording costs: nanoseconds that it adds to each packet, and the CPU of its writer."""
