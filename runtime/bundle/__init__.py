"""What export wrote, opened without torch: manifest, graphs, features and what is known about them."""
