"""What a person likes and dislikes, learned from clicks, as a concept to boost."""
