"""What sparse autoencoders keep of dense retrieval: headline, transfer, a second embedder, the paper, ablations.

python -m benchmarks.retention --data FOLDER [--only headline transfer paper ablation mpnet embedders] [--seeds 3]

Read in this order: `data` (embeddings and judgments), `experiments` (what is trained), `run` (one training and its
figures), `report` (tables and plots).
"""
