"""What the latents of a bundle mean: read from documents, said in words, and measured on documents held out.

Read in this order: `reading` (documents as the bundle sees them), `evidence` (where each latent fires), `phrases` and
`labels` (what it is called), `detection` (whether that is true), `entries` (what is kept of it).
"""
