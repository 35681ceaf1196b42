"""Can people read the features? Labels and Neuron-to-Graph on held-out documents, against controls."""
