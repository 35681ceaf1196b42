"""What documents should be about, as conditions that their scores are the sum of."""
