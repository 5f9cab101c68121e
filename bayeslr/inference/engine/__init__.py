"""What makes a fit fast: the density over one vector, its mode, compiled programs, and NUTS in whitened coordinates."""
